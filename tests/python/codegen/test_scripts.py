"""Scripts of segments: what is stored gives every event back, and repetition is found."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dftiny.kernels.count import _repetition


def unpacked(lanes: np.ndarray) -> list[int]:
    """As firmware/engines/aot/dft_run.c reads a script."""
    head, unit, repeated = _repetition(lanes)
    stored = np.concatenate([lanes[: head + unit], lanes[head + repeated :]])
    out = []
    for event in range(len(lanes)):
        at = event
        if event >= head + repeated:
            at = event - repeated + unit
        elif event >= head:
            at = head + (event - head) % unit
        out.append(int(stored[at]))
    return out


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 3), max_size=12),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.integers(0, 40),
    st.lists(st.integers(0, 3), max_size=12),
)
def test_every_event_comes_back(head: list[int], unit: list[int], times: int, tail: list[int]) -> None:
    lanes = np.array([*head, *unit * times, *tail], np.uint8)
    assert unpacked(lanes) == lanes.tolist()


def test_a_long_repetition_is_stored_once() -> None:
    lanes = np.array([0, 0, 0, 1, *[0, 1, 2] * 50, 2], np.uint8)
    assert _repetition(lanes)[1:] == (3, 150)
