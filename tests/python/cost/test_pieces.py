"""The cost model's arithmetic and its coverage of the kernels: no emulator here."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
import random_graphs
from costing import trm

from dftiny import spec
from dftiny.budget import budget
from dftiny.cost import LABEL, estimate
from dftiny.cost.lanes import ROW_KERNELS, UNKNOWN, WHOLE_KERNELS, op_pieces
from dftiny.cost.model import CORES, Memory, load_model
from dftiny.cost.pieces import copied
from dftiny.cost.stalls import op_stalls
from dftiny.counting.listing import read_listing
from dftiny.errors import DftError
from dftiny.plan import RegionSpec, plan
from dftiny.target import all_targets, load_target

KERNELS = spec.firmware_dir() / "kernels"
ROOM = [RegionSpec("room", 1 << 20)]
SEEDS = range(24)


def drawn(seed: int) -> random_graphs.Graph:
    """Six operators in random order; all kinds within the seeds."""
    kinds = random_graphs.KINDS
    return random_graphs.random_graph(
        seed, [kinds[(6 * seed + i) % len(kinds)] for i in range(6)], live=False
    )


def test_every_kernel_is_described() -> None:
    headers = "".join(p.read_text() for p in sorted(KERNELS.glob("*.h")))
    rows = set(re.findall(r"^dft_row_kernel (dft_\w+_rows);", headers, re.MULTILINE))
    whole = set(re.findall(r"^void (dft_\w+_s8)\(", (KERNELS / "dft_kernels.h").read_text(), re.MULTILINE))
    assert len(rows) > 10 and len(whole) > 10, "the headers are written differently now"
    assert rows - set(ROW_KERNELS) == set()
    assert whole - set(WHOLE_KERNELS) == set()


@pytest.mark.parametrize("core", ["m7", "m4"])
def test_every_piece_of_random_graphs_has_a_figure(core: str) -> None:
    model = load_model(core)
    seen = set()
    for seed in SEEDS:
        graph = drawn(seed)
        for pieces in op_pieces(plan(graph, ROOM)).values():
            assert not [name for name in pieces if name.startswith(UNKNOWN)]
            seen |= set(pieces)
            lacking = model.unknown(pieces)
            assert lacking == [], f"seed {seed}"
    assert len(seen) > 150, "too few pieces to prove anything"


def test_an_unknown_kernel_is_guessed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graphs.random_graph(3, ["CONV_2D", "SOFTMAX"], live=False)
    made = plan(graph, ROOM)
    known = estimate(graph, made)
    monkeypatch.delitem(WHOLE_KERNELS, "dft_softmax_s8")  # type: ignore[arg-type]
    guessed = estimate(graph, made)
    (op,) = [o.index for o in graph.ops if o.kind == "SOFTMAX"]
    assert "guessed" not in known.note
    assert f"{op} (SOFTMAX)" in guessed.note
    assert guessed.ops[op] > 0


def test_operators_sum_up_and_the_note_says_model() -> None:
    graph = drawn(1)
    found = estimate(graph, plan(graph, ROOM))
    assert sum(found.ops.values()) == found.instructions > 0
    assert sum(found.op_cycles.values()) == found.cycles > sum(found.op_stalls.values())
    assert LABEL in found.note and "never checked on silicon" in found.note
    assert found.ms(200) == pytest.approx(found.cycles / 200e3)


def test_an_unknown_core_is_refused_in_one_sentence() -> None:
    graph = drawn(1)
    with pytest.raises(DftError, match="no cost model is for core 'm3'"):
        estimate(graph, plan(graph, ROOM), "m3")


def test_a_larger_cache_never_waits_longer() -> None:
    made = plan(drawn(0), ROOM)
    small, large = (Memory("x", cache, 32, 20.0, 10.0) for cache in (256, 1 << 20))
    waits = [sum(op_stalls(made, m).values()) for m in (small, large)]
    assert waits[0] > waits[1] > 0


def test_the_budget_carries_the_estimates_for_every_target() -> None:
    graph = random_graphs.phinet_like(tile=64)
    for target in all_targets():
        b = budget(graph, target)
        assert b.instructions_estimated == sum(o.instructions or 0 for o in b.ops)
        assert b.cycles_estimated and b.cycles_estimated > b.instructions_estimated / 2
        assert (b.ms_estimated is None) == (target.mhz is None)
        assert "never checked on silicon" in b.estimate_note


def test_the_core_may_be_chosen() -> None:
    graph, target = random_graphs.phinet_like(tile=64), load_target("stm32h743")
    one, two = budget(graph, target, core="m7"), budget(graph, target, core="m4")
    assert two.cycles_estimated > one.cycles_estimated  # type: ignore[operator]


@pytest.mark.parametrize(
    ("n", "steps", "expected"),
    [
        (100, (4, 4), {"memcpy.blocks": 1, "memcpy.sixteens": 2, "memcpy.words": 1}),
        (7, (4, 8), {"memcpy.words": 1, "memcpy.tails": 1, "memcpy.tail_two": 1}),
        (3, (3, 3), {"memcpy.unaligned": 0.75, "memcpy.tails": 1, "memcpy.tail_two": 1}),
        (6, (6, 4), {"memcpy.unaligned": 0.5, "memcpy.short": 0.5, "memcpy.short_bytes": 1.5, "memcpy.tails": 1}),
    ],
)  # fmt: skip
def test_copies(n: int, steps: tuple[int, int], expected: dict[str, float]) -> None:
    found = copied(n, 1, steps)
    assert found["memcpy.calls"] == 1
    assert {name: found[name] for name in expected} == expected


def test_cortex_m4_cycles_after_the_table() -> None:
    text = """00000000 <f>:
   0:\tldr\tr0, [r1, #0]
   2:\tldr\tr2, [r1, #4]
   4:\tsmlad\tr3, r0, r2, r3
   8:\tldmia.w\tr1!, {r4, r5, r6, r7}
   c:\tldrd\tr8, r9, [r1]
  10:\tmla\tr3, r4, r5, r3
  14:\tbne.n\t0 <f>
"""
    code = read_listing(text).instructions
    each = [trm.cycles(code[: i + 1]) - trm.cycles(code[:i]) for i in range(len(code))]
    assert each == [2, 1, 1, 5, 3, 2, 3]


def test_pieces_file_names_its_compiler() -> None:
    text = Path(spec.SPEC_DIR / "cost_pieces.toml").read_text()
    assert re.search(r'^gcc = "\d+\.\d+\.\d+"$', text, re.MULTILINE)


@pytest.mark.parametrize("core", CORES)
def test_every_epilogue_of_a_convolution_has_a_figure(core: str) -> None:
    ends = product(("relu", "linear"), ("", "_table"), ("", "_planes"), ("", "_mixed"))
    names = {f"conv.tiles_{''.join(end)}" for end in ends}
    assert len(names) == 16 and names <= set(load_model(core).pieces)
