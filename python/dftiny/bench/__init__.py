"""`dftiny bench`: test images tile by tile through a board, every int8 output compared with the oracle by ==.

A use case: composes link, oracle and metrics, owns no algorithm. Never imports torch or tensorflow.
images.py picks the tiles, stream.py runs them, record.py writes what came back, run.py ties them together.
"""

from dftiny.bench.run import BenchResult, bench, bench_command
from dftiny.bench.side import side_by_side

__all__ = ["BenchResult", "bench", "bench_command", "side_by_side"]
