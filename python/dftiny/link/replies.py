"""What a board's replies say, typed: identity, statistics, one result. Pure. Called by device.py and conveyor.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import CheckFailed
from dftiny.link import messages
from dftiny.link.messages import Message


@dataclass(frozen=True)
class Hello:
    """The board's identity, field by field as in protocol.toml; digests and uid are bytes, sizes bytes."""

    protocol_digest: bytes
    bundle_digest: bytes
    engine: str
    board: str
    caps: int
    tick_hz: int
    boot_id: int
    input_bytes: int
    output_bytes: int
    reset_cause: int
    uid: bytes
    session: int
    window: int
    baud: int

    @property
    def claims(self) -> frozenset[str]:
        """Names of the capabilities in `caps`."""
        return messages.cap_names(self.caps)


@dataclass(frozen=True)
class Result:
    """One inference: int8 [output_bytes] and raw ticks (what they mean: Hello.claims and spec/boards).

    Of a photo: tiles `seen`, `evidence` (1/256 of a log-likelihood ratio) and `decision` ("none", "real", "fake",
    "undecided") after this tile; 0, 0 and "none" without one.
    """

    output: NDArray[np.int8]
    ticks: int
    seen: int = 0
    evidence: int = 0
    decision: str = "none"


@dataclass(frozen=True)
class Stats:
    """Peaks in bytes and frame counters since the board's boot, field by field as in protocol.toml."""

    stack_peak_bytes: int
    stack_bytes: int
    arena_bytes: int
    frames_ok: int
    frames_bad: int
    runs: int


def result_of(reply: Message, name: str, identity: Hello | None) -> Result:
    """The result in a run_reply of status ok. CheckFailed when its output is not as long as hello said."""
    output = np.frombuffer(reply["output"], dtype=np.int8).copy()
    if identity is not None and len(output) != identity.output_bytes:
        wanted = identity.output_bytes
        raise CheckFailed(f"the board on {name} sent {len(output)} output bytes instead of {wanted}")
    decision = messages.decision_name(reply["decision"])
    return Result(output, int(reply["ticks"]), int(reply["seen"]), int(reply["evidence"]), decision)
