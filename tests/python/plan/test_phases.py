"""Rings that share their places, each with a phase of its own: no two living rows in one place, and fewer bytes."""

from __future__ import annotations

import random
import re

import numpy as np

from dftiny import spec
from dftiny.plan.pack import Block, Packer, live_bytes
from dftiny.plan.phases import MOST_PLACES, PHASED_BYTES, PHASED_REGIONS, phased

ROWS = 24


def chain(windows: int, row_bytes: int = 8) -> list[Block]:
    """Maps of which each is made from windows of three rows of the one before, row by row on demand."""
    born: list[list[int]] = [[] for _ in range(windows + 1)]
    dies: list[list[int]] = [[] for _ in range(windows + 1)]
    time = 0

    def make(k: int) -> None:
        nonlocal time
        if k > 0:
            row = len(born[k])
            while len(born[k - 1]) < min(row + 2, ROWS):
                make(k - 1)
            for r in range(max(0, row - 1), min(row + 2, ROWS)):
                dies[k - 1][r] = time
            time += 1  # a narrow row comes first, of which the next map's is made
        born[k].append(time)
        dies[k].append(time)
        time += 1

    for _ in range(ROWS):
        make(windows)
    return [Block(f"t{k}", row_bytes, tuple(born[k]), tuple(dies[k]), ring=3) for k in range(windows)]


def collisions(block: Block) -> int:
    """Living rows that lie in one place, but for one that ends with the event that hands its place on."""
    found = 0
    for i in range(len(block.born)):
        for j in range(i):
            together = block.born[i] <= block.dies[j] and block.born[j] <= block.dies[i]
            found += together and block.where[i] == block.where[j]
    return found


def test_four_windows_behind_one_another_take_nine_places_instead_of_twelve() -> None:
    (joined,) = phased(chain(4))
    assert joined.places == 9 and len({p.phase for p in joined.parts}) > 1
    assert sum(len(p.keys) for p in joined.parts) == 4 and len(joined.born) == len(joined.where) == 4 * ROWS
    assert collisions(joined) == 0
    assert live_bytes([joined])[0] == 9 * 8


def random_rings(seed: int) -> list[Block]:
    """Rings with rows of several lengths, some longer than the places ask for, and rows far apart in time."""
    dice = random.Random(seed)
    found = []
    for k in range(dice.randint(2, 6)):
        slots, step = dice.randint(2, 4), dice.randint(2, 5)
        born = [dice.randint(0, 9) + step * 4 * r for r in range(dice.randint(slots, 12))]
        dies = [min(t + dice.randint(0, 4 * step * slots), (born + [1 << 20] * slots)[r + slots] - 1)
                for r, t in enumerate(born)]  # fmt: skip
        dies = [max(b, d) for b, d in zip(born, dies, strict=True)]
        found.append(Block(f"t{k}", 4 * dice.randint(1, 4), tuple(born), tuple(dies), ring=slots))
    return found


def test_no_two_living_rows_share_a_place() -> None:
    joined = 0
    for seed in range(200):
        rings = random_rings(seed)
        after = phased(rings)
        assert sum(b.nbytes for b in after) <= sum(b.nbytes for b in rings)
        names = [key for b in after for key in ([k for p in b.parts for k in p.keys] or [b.key])]
        assert sorted(names) == sorted(b.key for b in rings)
        for block in after:
            if block.parts:
                joined += 1
                assert collisions(block) == 0 and block.places <= MOST_PLACES
                assert all(p.skip + p.row_bytes == block.row_bytes for p in block.parts)
    assert joined >= 60


def test_a_row_that_grows_takes_the_place_of_the_one_it_is_made_from() -> None:
    """Row r of the second tensor is longer, and made in the event that reads row r of the first for the last time."""
    first = Block("t0", 8, (0, 4, 8, 12), (5, 9, 13, 17), ring=2)
    second = Block("t1", 12, (5, 9, 13, 17), (7, 11, 15, 19), grown="t0", ring=2)
    (joined,) = phased([first, second])
    assert (joined.places, [p.phase for p in joined.parts], [p.skip for p in joined.parts]) == (
        2,
        [0, 0],
        [4, 0],
    )
    apart = phased([first, Block("t1", 12, second.born, second.dies, ring=2)])
    assert sum(b.nbytes for b in apart) > joined.nbytes


def test_rows_far_apart_do_not_meet_in_a_larger_ring() -> None:
    """Rows 0, 4, 8 live together and lie apart in three places; in four they would not."""
    order = [r for k in range(4) for r in range(k, 12, 4)]
    born = tuple(order.index(r) for r in range(12))
    far = Block("t0", 8, born, tuple(t + 2 for t in born), ring=3)
    others = [Block(f"t{k}", 8, (0, 20), (1, 22), ring=2) for k in (1, 2)]
    for block in phased([far, *others]):
        if block.parts:
            assert collisions(block) == 0


def test_other_blocks_find_the_places_that_are_free() -> None:
    """A block that lives while one place of the joined ring is empty may lie there, and nowhere else in it."""
    (joined,) = phased(chain(2))
    packer = Packer([joined, Block("s0", 8, (0,), (0,), ring=1)], 8)
    spots = packer.best([1 << 20])
    assert spots is not None and packer.sizes(spots, 1) == [joined.nbytes]
    place = spots[1][1] // 8 - spots[0][1] // 8
    alive = [w for w, b, d in zip(joined.where, joined.born, joined.dies, strict=True) if b <= 0 <= d]
    assert place not in alive and len(alive) > 0


def test_rows_that_nobody_makes_are_not_counted_as_bytes_that_are_missing() -> None:
    made = Block("t0", 8, (0, 1), (3, 3))
    partly = Block("t1", 100, (2, 5), (2, -1))  # its second row is born behind the last event and never dies
    assert live_bytes([made, partly])[0] == 116
    assert np.array_equal(made.times[0], [0, 1])


def test_the_limits_are_those_of_the_engines_bit_fields() -> None:
    """DFT_PHASED, from the top: region, slots, phase, a fourth of the offset."""
    text = (spec.firmware_dir() / "engines" / "aot" / "dft_run.h").read_text(encoding="utf-8")
    macro = text[text.index("#define DFT_PHASED(") :].split("\n\n")[0]
    region, slots, phase = (int(b) for b in re.findall(r"<< (\d+)", macro))
    (fourth,) = re.findall(r">> (\d+)", macro)
    assert 1 << 32 - region == PHASED_REGIONS
    assert MOST_PLACES == (1 << region - slots) - 1 == (1 << slots - phase) - 1
    assert 1 << phase + int(fourth) == PHASED_BYTES
