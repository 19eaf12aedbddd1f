"""The running verdict and the tables it is made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_models import random_model

from dftiny.errors import DftError
from dftiny.verdict.model import FAKE, NONE, REAL, UNDECIDED, verdict_model
from dftiny.verdict.running import begin, follow

MODEL = random_model(np.random.default_rng(5), 12)


def hand_made(**changes: object) -> dict[str, object]:
    """Evidence = output; real from 100, fake to -100, undecided within 5 after the second tile of three."""
    value: dict[str, object] = {
        "evidence": list(range(-128, 128)),
        "real_from": [100, 100, 100],
        "fake_to": [-100, -100, -100],
        "between_from": [1, -5, 1],
        "between_to": [0, 5, 0],
        "last_real": [50, 50, 50],
        "last_fake": [-50, -50, -50],
    }
    return value | changes


@pytest.mark.parametrize(
    ("outputs", "tiles", "decision", "seen"),
    [
        ([100], 8, REAL, 1),
        ([99, 1], 8, REAL, 2),
        ([-100, 5], 8, FAKE, 1),
        ([4, 1, 9], 8, UNDECIDED, 2),
        ([4, 2], 8, NONE, 2),
        ([4, 2, 44], 8, REAL, 3),  # three tiles is the most: the third decides
        ([-4, -2, -44], 8, FAKE, 3),
        ([4, 2, 43], 8, UNDECIDED, 3),
        ([50, 3], 1, REAL, 1),
        ([-49, 3], 1, UNDECIDED, 1),
    ],
)
def test_stops_where_a_bound_is_passed(outputs: list[int], tiles: int, decision: int, seen: int) -> None:
    found = follow(verdict_model(hand_made()), np.array(outputs, np.int8), tiles)
    assert (found.decision, found.seen, found.evidence) == (decision, seen, sum(outputs[:seen]))


@given(st.lists(st.integers(-128, 127), max_size=20), st.integers(0, 20), st.data())
def test_taking_up_again_gives_the_same_end(outputs: list[int], tiles: int, data: st.DataObject) -> None:
    """A device that lost its state and is told tiles seen and evidence goes on as if nothing had happened."""
    states = [begin(MODEL, tiles)]
    for output in outputs:
        states.append(states[-1].add(output))
    at = data.draw(st.integers(0, len(outputs)))
    again = begin(MODEL, tiles, states[at].seen, states[at].evidence)
    for output in outputs[at:]:
        again = again.add(output)
    assert (again.seen, again.evidence, again.decision) == (
        states[-1].seen,
        states[-1].evidence,
        states[-1].decision,
    )


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=30))
def test_a_whole_photograph_always_ends(outputs: list[int]) -> None:
    found = follow(MODEL, np.array(outputs, np.int8))
    assert found.decision != NONE
    assert 1 <= found.seen <= min(len(outputs), MODEL.tiles_max)


def test_json_and_back() -> None:
    again = verdict_model(json.loads(json.dumps(MODEL.as_json())))
    assert again.as_json() == MODEL.as_json()
    assert MODEL.flash_bytes == 512 + 6 * 4 * 12


@pytest.mark.parametrize(
    "changes",
    [
        {"evidence": [0] * 255},
        {"evidence": [0] * 255 + [40000]},
        {"evidence": [0.5] * 256},
        {"evidence": ["1"] * 256},
        {"real_from": [100, 100]},
        {"real_from": [-100, 100, 100]},
        {"last_real": [-50, 50, 50]},
        {"between_to": [2**31, 0, 0]},
        {"between_to": None},
    ],
)
def test_an_impossible_verdict_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DftError):
        verdict_model(hand_made(**changes))


def test_a_missing_table_is_refused() -> None:
    value = hand_made()
    del value["last_fake"]
    with pytest.raises(DftError, match="last_fake"):
        verdict_model(value)
