"""The order of rows: what the last lane does not need is computed as soon as its rows are there."""

from __future__ import annotations

from types import SimpleNamespace

from dftiny.kernels.rows import RowCall
from dftiny.plan.lanes import Lane, Operand, Shape, Window
from dftiny.plan.stream import lives, stream

ROWS = Shape(12, 8)


def lane(index: int, reads: int, writes: int, kernel: int) -> Lane:
    """A lane of 12 rows with a window of `kernel` rows."""
    return Lane(
        index,
        SimpleNamespace(writes=writes),  # type: ignore[arg-type]
        (Operand(reads, ROWS, "window", False),),
        ROWS,
        Window(kernel, 1, 1, kernel // 2),
        1,
        ROWS.rows,
        False,
        RowCall("f", "s", (), ()),
        (),
    )


def test_a_lane_beside_the_last_one_does_not_keep_a_map_whole() -> None:
    """Tensor 1 is read by a window of three rows, which ends there, and by one of five, which the last lane needs."""
    lanes = [lane(0, 0, 1, 3), lane(1, 1, 2, 3), lane(2, 1, 3, 5), lane(3, 3, 4, 3)]
    events = stream(lanes)
    assert sorted((e.lane, e.row) for e in events) == [(n, row) for n in range(4) for row in range(12)]
    found = lives({one.index: one for one in lanes}, events, [0], [2, 4], dict.fromkeys(range(5), 12))
    assert found[1].slots == 5 and found[3].slots == 3
    assert max(found[1].dies) < len(events)
