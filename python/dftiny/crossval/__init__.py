"""Cross-validation of recipes, in float and in int8: how good the net is that the chip would run.

A use case: composes train, export and the thesis' way of pooling folds. Called by `dftiny crossval`.
"""
