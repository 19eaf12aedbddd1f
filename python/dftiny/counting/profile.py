"""Counts of translation blocks × disassembly: instructions by class, by function, stack accesses, cycles by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dftiny.counting.cycles import Estimator, assembly
from dftiny.counting.listing import CLASSES, Instruction, Listing
from dftiny.counting.run import Block


@dataclass(frozen=True)
class Straight:
    """Code that runs from its first instruction to its last, and how often for each operator."""

    code: tuple[Instruction, ...]
    counts: Mapping[int, int]

    @property
    def times(self) -> int:
        """Executions for all operators together."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Shares:
    """Executed instructions by class and by function; `spills`: loads and stores at [sp, …] other than saving
    registers at a function's edge, by function."""

    classes: Mapping[str, int]
    functions: Mapping[str, int]
    spills: Mapping[str, int]


@dataclass(frozen=True)
class Modelled:
    """Cycles by operator, and of one execution of each piece of straight code; `guessed` pieces llvm-mca refused."""

    by_op: Mapping[int, float]
    each: tuple[float, ...]
    guessed: int


@dataclass(frozen=True)
class Hot:
    """A piece of straight code, executed `times`; `cycles_modelled` is of one execution."""

    function: str
    address: int
    times: int
    cycles_modelled: float | None
    code: tuple[str, ...]


def straights(listing: Listing, blocks: Sequence[Block]) -> list[Straight]:
    """Translation blocks as straight code. The emulator also ends a block at the end of a page of its own: such a
    block and the next, executed as often, are one."""
    counts: dict[tuple[int, int], Counter[int]] = {}
    for b in blocks:
        counts.setdefault((b.address, b.instructions), Counter())[b.op] += b.count
    found = [Straight(listing.block(a, n), counts[a, n]) for a, n in sorted(counts)]
    starts = Counter(s.code[0].address for s in found)
    out: list[Straight] = []
    for one in found:
        last = out[-1] if out else None
        if last is not None and starts[one.code[0].address] == 1 and _continues(listing, last, one):
            out[-1] = Straight((*last.code, *one.code), last.counts)
        else:
            out.append(one)
    return out


def _continues(listing: Listing, a: Straight, b: Straight) -> bool:
    end = a.code[-1]
    follows = listing.after(end) == b.code[0].address
    return follows and end.kind != "branch" and "pc" not in end.operands and dict(a.counts) == dict(b.counts)


def shares(found: Sequence[Straight]) -> Shares:
    """What was executed, by class and by function."""
    classes: Counter[str] = Counter(dict.fromkeys(CLASSES, 0))
    functions: Counter[str] = Counter()
    spills: Counter[str] = Counter()
    for one in found:
        times = one.times
        for instruction in one.code:
            classes[instruction.kind] += times
            functions[instruction.function] += times
            spills[instruction.function] += times * instruction.stack
    return Shares(dict(classes), dict(functions.most_common()), dict(+spills))


def cycles(found: Sequence[Straight], estimator: Estimator) -> Modelled:
    """Modelled cycles of every piece of `found`, and by operator."""
    texts = [assembly(one.code) for one in found]
    each = estimator.cycles(texts)
    by_op: dict[int, float] = {}
    for one, text in zip(found, texts, strict=True):
        for op, times in one.counts.items():
            by_op[op] = by_op.get(op, 0.0) + times * each[text]
    return Modelled(by_op, tuple(each[t] for t in texts), estimator.failed)


def hottest(found: Sequence[Straight], modelled: Modelled | None, n: int) -> tuple[Hot, ...]:
    """The `n` pieces of code in which most instructions are executed."""
    order = sorted(range(len(found)), key=lambda i: (-found[i].times * len(found[i].code), i))
    out = []
    for i in order[:n]:
        code = found[i].code
        lines = tuple(f"{c.mnemonic} {c.operands}".rstrip() for c in code)
        each = None if modelled is None else round(modelled.each[i], 2)
        out.append(Hot(code[0].function, code[0].address, found[i].times, each, lines))
    return tuple(out)
