"""Packing: no two living rows share a byte, whatever the sizes and lives; and rows that die make room."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dftiny.plan.pack import Block, Packer, forbidden, live_bytes, rectangle

property_test = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def blocks(draw: st.DrawFn) -> list[Block]:
    """Rectangles and blocks whose rows come and go in order; zero sizes, equal lives and one row among them."""
    out = []
    for n in range(draw(st.integers(1, 7))):
        rows = draw(st.integers(1, 6))
        born = sorted(draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows)))
        spans = draw(st.lists(st.integers(0, 6), min_size=rows, max_size=rows))
        dies = sorted(b + s for b, s in zip(born, spans, strict=True))
        row_bytes = draw(st.sampled_from([0, 1, 8, 12, 40, 100]))
        over = f"b{draw(st.integers(0, n - 1))}" if n and draw(st.booleans()) else None
        ring = draw(st.integers(0, rows))
        if any(a == b for a, b in zip(born, born[ring:], strict=False)):
            ring = 0
        for row in range(rows - ring if ring else 0):  # its place is taken over by another
            dies[row] = min(dies[row], born[row + ring] - 1)
        out.append(Block(f"b{n}", row_bytes, tuple(born), tuple(dies), over, ring))
    return out


def collisions(given_blocks: list[Block], spots: list[tuple[int, int]]) -> list[str]:
    """Brute force: every byte of every region in every event, with the rule for in-place rows."""
    held: dict[tuple[int, int, int], list[tuple[Block, int, int]]] = {}
    for block, (region, offset) in zip(given_blocks, spots, strict=True):
        for row, (born, dies) in enumerate(zip(block.born, block.dies, strict=True)):
            for time in range(born, dies + 1):
                for byte in range(block.row_bytes):
                    at = offset + row % block.places * block.row_bytes + byte
                    held.setdefault((region, at, time), []).append((block, row, byte))
    return [
        f"{a.key}[{i}] and {b.key}[{j}] at {place}"
        for place, found in held.items()
        for k, (a, i, x) in enumerate(found)
        for b, j, y in found[k + 1 :]
        if not handed_over(a, i, x, b, j, y, place[2]) and not handed_over(b, j, y, a, i, x, place[2])
    ]


def handed_over(a: Block, i: int, x: int, b: Block, j: int, y: int, time: int) -> bool:
    """Row i of a is read in the event that writes row j of b over it: at the same element, or one already read."""
    if b.over != a.key or len(a.born) != len(b.born) or a.places != b.places:
        return False
    if a.dies[i] != time or b.born[j] != time:
        return False
    return j * b.row_bytes + y >= i * a.row_bytes + x


@property_test
@given(blocks(), st.sampled_from([1, 8, 16]), st.booleans())
def test_no_two_living_rows_share_a_byte(given_blocks: list[Block], align: int, split: bool) -> None:
    packer = Packer(given_blocks, align)
    rooms = [300, 1 << 20] if split else [1 << 20]
    spots = packer.best(rooms, tries=20)
    assert spots is not None
    assert collisions(given_blocks, spots) == []
    for block, (region, offset) in zip(given_blocks, spots, strict=True):
        assert offset % align == 0 and offset + block.nbytes <= rooms[region]
    if not split and not any(b.over for b in given_blocks):
        assert packer.sizes(spots, 1)[0] >= live_bytes(given_blocks)[0]


def test_output_rows_follow_the_rows_they_replace() -> None:
    """Four rows of 8 become four rows of 8, each read one event before its place is written."""
    source = Block("s", 8, (0, 0, 0, 0), (1, 2, 3, 4))
    output = Block("o", 8, (1, 2, 3, 4), (9, 9, 9, 9))
    packer = Packer([source, output], 8)
    spots = packer.best([1 << 20])
    assert spots is not None and packer.sizes(spots, 1) == [40]
    assert forbidden(source, output) == [(-8, 32)]


def test_elementwise_rows_lie_on_what_they_read() -> None:
    source = Block("s", 8, (0, 0, 0, 0), (1, 2, 3, 4))
    output = Block("o", 8, (1, 2, 3, 4), (9, 9, 9, 9), over="s")
    packer = Packer([source, output], 8)
    spots = packer.best([1 << 20])
    assert spots is not None and packer.sizes(spots, 1) == [32]


def test_rows_of_a_ring_make_room_between_their_turns() -> None:
    """Two scratches of one event each, in turns, and a ring of two rows whose second is not needed at first."""
    scratch = [Block(f"s{k}", 40, (k, k + 2, k + 4), (k, k + 2, k + 4), ring=1) for k in range(2)]
    assert Packer(scratch, 8).best([40]) == [(0, 0), (0, 0)]
    ring = Block("r", 8, (0, 2, 4, 6), (3, 5, 7, 9), ring=2)
    late = Block("l", 8, (0,), (1,))
    assert ring.nbytes == 16 and live_bytes([ring, late]) == (16, 0)
    assert forbidden(ring, late) == [(-8, 8)]
    assert Packer([ring, late], 8).best([16]) == [(0, 0), (0, 8)]


def test_a_ring_lies_exactly_on_the_ring_it_replaces_or_not_at_all() -> None:
    source = Block("s", 8, (0, 1, 2, 3), (1, 2, 3, 4), ring=2)
    output = Block("o", 8, (1, 2, 3, 4), (1, 2, 3, 4), over="s", ring=2)
    assert live_bytes([source, output]) == (16, 1)
    found = forbidden(source, output)
    assert not any(low < 0 < high for low, high in found)
    assert any(low < -8 < high for low, high in found) and any(low < 8 < high for low, high in found)


def test_an_event_that_takes_a_whole_map_writes_nothing_above_what_it_reads() -> None:
    """Four rows of 16 become four of 8 in one event: the first written must not lie on the last read."""
    source = Block("s", 16, (0,) * 4, (1,) * 4)
    output = Block("o", 8, (1,) * 4, (9,) * 4, over="s")
    assert forbidden(source, output) == [(0, 64)]
    assert forbidden(output, source) == [(-64, 0)]


def test_equal_lives_never_meet() -> None:
    same = [rectangle(f"r{i}", 16, 3, 3) for i in range(5)]
    packer = Packer(same, 8)
    spots = packer.best([1 << 20])
    assert spots is not None
    offsets = sorted(offset for _, offset in spots)
    assert all(b - a >= 16 for a, b in pairwise(offsets))


def test_nothing_fits_in_nothing() -> None:
    assert Packer([rectangle("r", 16, 0, 0)], 8).best([8]) is None
