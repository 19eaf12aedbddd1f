"""The host fuzzer's seeds, corpus and findings once more, a few new inputs, and how much of the parsers that reaches."""

from __future__ import annotations

import dis
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from dftiny.link import channel, conveyor, frame, messages, replies, transfer

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
sys.path.append(str(FUZZ))

import host_fuzz  # noqa: E402

PARSERS = (frame, messages, replies, channel, conveyor, transfer)
LINES_REACHED = 0.90


def inputs() -> list[bytes]:
    files = [*sorted((FUZZ / "corpus/host").iterdir()), *sorted(FUZZ.glob("regress/*/host.bin"))]
    rng = random.Random(11)
    known = [*host_fuzz.seeds(), *(f.read_bytes() for f in files)]
    return [*known, *(host_fuzz.mutated(rng, known) for _ in range(60))]


# What packs a request and reads protocol.toml is no parser of what comes.
NOT_PARSERS = ("_layout", "layout", "encode", "_raw", "status_code", "coding")


def inner_lines(code: CodeType) -> Iterator[int]:
    """Lines of functions; those of the module itself ran when it was imported."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name not in NOT_PARSERS:
            if not constant.co_name.startswith("<") and constant.co_flags & 2:
                yield from (
                    line for _, line in dis.findlinestarts(constant) if line != constant.co_firstlineno
                )
            yield from inner_lines(constant)


def lines_of(module: ModuleType) -> set[tuple[str, int]]:
    assert module.__file__ is not None
    code = compile(Path(module.__file__).read_text(encoding="utf-8"), module.__file__, "exec")
    return {(module.__file__, n) for n in inner_lines(code)}


def test_nothing_but_sentences_and_results_and_the_parsers_are_reached() -> None:
    # What an earlier test had remembered would not run again, and its lines would be missed.
    for module in PARSERS:
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()
    reached: set[tuple[str, int]] = set()
    ends: dict[str, int] = {}
    with host_fuzz.lines(reached):
        for data in inputs():
            end = host_fuzz.one(data)
            ends[end] = ends.get(end, 0) + 1
    assert ends["done"] > 20
    assert len(ends) > 2
    for module in PARSERS:
        wanted = lines_of(module)
        assert len(wanted) > 5
        missed = sorted(n for _, n in wanted - reached)
        assert len(missed) <= (1 - LINES_REACHED) * len(wanted), (
            f"{module.__name__}: lines {missed} not reached"
        )


def test_a_board_that_is_busy_for_ever_is_given_up() -> None:
    """It answers every time: neither silence nor a reset, and still no endless loop."""
    for status in ("busy", "running", "no_photo"):
        clock = host_fuzz.Clock()
        board = host_fuzz.Liar(b"", clock)
        honest = board._honest

        def lying(asked: messages.Message, code: int = messages.status_code(status), honest=honest):  # type: ignore[no-untyped-def]
            name, fields = honest(asked)
            return name, ({**fields, "status": code} if name == "run_reply" else fields)

        board._honest = lying  # type: ignore[method-assign]
        with host_fuzz.virtual(clock):
            device = host_fuzz.Device(board)
            device.identify(bytes(32))
            with pytest.raises(conveyor.LinkLost, match="in the middle of a run"):
                list(device.run([host_fuzz.TILE]))


@pytest.mark.parametrize("status", ["busy", "other_session"])
def test_a_board_that_never_begins_a_photograph_is_given_up(status: str) -> None:
    clock = host_fuzz.Clock()
    board = host_fuzz.Liar(b"", clock)
    honest = board._honest

    def lying(asked: messages.Message) -> tuple[str, dict[str, object]]:
        name, fields = honest(asked)
        code = messages.status_code(status)
        return name, ({**fields, "status": code} if name == "photo_reply" else fields)

    board._honest = lying  # type: ignore[method-assign]
    with host_fuzz.virtual(clock):
        device = host_fuzz.Device(board)
        device.identify(bytes(32))
        with pytest.raises(conveyor.LinkLost, match="does not begin a photograph"):
            device.photo(3)
    assert clock.now < 1000 + 2 * 120
