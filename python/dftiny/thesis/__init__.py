"""The thesis reproduced: its grid of nets and methods, trained and scored on a data folder, its tables beside ours.

A use case: it composes train and the nets' scores, and owns no algorithm but the tables. `dftiny reproduce thesis`
calls `run.reproduce` and `report.report`.
"""
