"""tools/counts: exact counts of a program that is known to the instruction, equal to another emulator's on a net."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import arm_model
import numpy as np
import pytest
from random_graphs import phinet_like, random_graph

from dftiny import spec
from dftiny.bundle import MODEL, Bundle
from dftiny.counting import cycles, image, profile, view
from dftiny.counting.cores import CORES, Core, core
from dftiny.counting.engine import Engine, OpFacts, generate
from dftiny.counting.listing import Instruction, Listing, classify, disassemble, read_listing
from dftiny.counting.measure import measure
from dftiny.counting.run import REST, Block, Trace, run
from dftiny.errors import CheckFailed
from dftiny.graph import Graph
from dftiny.plan import RegionSpec, plan
from dftiny.target import load_target

pytestmark = pytest.mark.emu
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "counts"

# An engine of two operators that take turns: invoke has 11 instructions, a piece 2 + 7 * LOOPS + 5, and 2 more where a
# hook is set.
LOOPS = 10
ENGINE = """
#include "dft/engine.h"
int8_t *engine_memory;
int engine_pieces; /* ever run; nobody counts them unless a test does */
dft_op_hook engine_hook;
dft_status invoke(void);
static dft_status open(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out)
{
    (void)n;
    engine_memory = (int8_t *)regions[0].base;
    *in = (dft_tensor){engine_memory, 4};
    *out = (dft_tensor){engine_memory, 4};
    return DFT_OK;
}
static uint32_t used(void) { return 16; }
static void set_hook(dft_op_hook hook) { engine_hook = hook; }
static const dft_region_need need = {"axi", 16, 32};
static const uint8_t digest[32];
const dft_engine dft_the_engine = {
    .name = "aot", .bundle_digest = digest, .needs = &need, .needs_n = 1, .ops_n = 2, .open = open,
    .invoke = invoke, .memory_used = used, .set_hook = set_hook,
};
__asm(".syntax unified\\n.thumb\\n.text\\n"
      ".global invoke\\n.thumb_func\\n.type invoke, %function\\ninvoke:\\n"
      "push {r4, r5, r6, lr}\\n sub sp, #16\\n"
      "movs r5, #0\\n bl piece\\n movs r5, #1\\n bl piece\\n movs r5, #0\\n bl piece\\n"
      "movs r0, #0\\n add sp, #16\\n pop {r4, r5, r6, pc}\\n"
      ".thumb_func\\n.type piece, %function\\npiece:\\n"
      "mov r6, lr\\n movs r4, #LOOPS\\n"
      "1: ldr r0, [sp, #4]\\n str r4, [sp, #8]\\n sxtb16 r1, r0\\n smlad r2, r1, r1, r2\\n ssat r3, #8, r2\\n"
      "subs r4, #1\\n bne 1b\\n"
      "ldr r1, =engine_hook\\n ldr r1, [r1]\\n cbz r1, 2f\\n mov r0, r5\\n blx r1\\n 2: EXTRA\\n bx r6\\n.ltorg\\n");
"""


def traced(text: str, where: Path, inputs: int = 2) -> tuple[Trace, profile.Shares]:
    ops = (OpFacts(0, "A", "a", 1), OpFacts(1, "B", "b", 1))
    made = image.build(Engine({"dft_model.c": text}, ops, 16, 16, 0), core("m7"), where)
    trace = run(made, core("m7"), np.zeros((inputs, 4), np.int8), where)
    return trace, profile.shares(profile.straights(disassemble(made.elf), trace.blocks))


def engine_text(extra: str = "nop") -> str:
    return ENGINE.replace("LOOPS", str(LOOPS)).replace("EXTRA", extra)


def test_a_program_known_to_the_instruction(tmp_path: Path) -> None:
    """Operators that interleave; the hook's own cost (mov and blx, where nothing stood) is not theirs."""
    trace, shares = traced(engine_text(), tmp_path)
    piece = 2 + 7 * LOOPS + 5
    assert trace.instructions == 11 + 3 * piece == trace.highest
    # A share ends where the hook is called: the last two of a piece belong to what comes next.
    assert trace.ops == {0: (2 + 2 + piece - 2) + (2 + 2 + piece - 2), 1: 2 + 2 + piece - 2, REST: 2 + 3}
    assert sum(trace.ops.values()) == trace.instructions
    assert trace.stack_bytes == 16 + 16 - 8  # the lowest word that was written
    hooked = 3 * 2
    assert shares.classes == {
        "mac": 3 * LOOPS,
        "load": 3 * LOOPS + 3 * 2 + 1,
        "store": 3 * LOOPS + 1,
        "widen": 3 * LOOPS,
        "requantise": 3 * LOOPS,
        "branch": 3 * LOOPS + 3 + 3 * 2 + 3,
        "alu": 3 * LOOPS + 3 * 3 + 3 + 6,
        "fpu": 0,
    }
    assert sum(shares.classes.values()) == trace.instructions + hooked
    assert shares.spills == {"piece": 2 * 3 * LOOPS}
    assert shares.functions == {"piece": 3 * (piece + 2), "invoke": 11}


def test_memory_written_outside_is_found(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="outside of the memory"):
        traced(engine_text("ldr r1, =engine_memory; ldr r1, [r1]; str r1, [r1, #16]"), tmp_path)


def test_counts_that_do_not_repeat_are_refused(tmp_path: Path) -> None:
    """Three pieces a run: from the fifth run on, a piece takes one instruction more."""
    counter = "ldr r1, =engine_pieces; ldr r3, [r1]; adds r3, #1; str r3, [r1]; cmp r3, #14; ble 3f; nop; 3:"
    with pytest.raises(CheckFailed, match="the same input took"):
        traced(engine_text(counter), tmp_path)


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        *(
            (m, "mac")
            for m in ("smlad", "smladx", "smuad", "smlabb", "smlatb", "smulbt", "smlawb", "mla", "smlaltt")
        ),
        *((m, "load") for m in ("ldr", "ldrsb", "ldrd", "ldmia", "pop", "vldr", "vldmia", "ldrne")),
        *((m, "store") for m in ("str", "strb", "stmdb", "push", "vstr", "vpush")),
        *(
            (m, "widen")
            for m in ("sxtb16", "uxtb16", "sxtb", "sxtab", "pkhbt", "pkhtb", "sbfx", "ubfx", "sxtah")
        ),
        *(
            (m, "requantise")
            for m in ("smmlar", "smmulr", "smull", "ssat", "usat16", "qadd", "smlal", "ssatlt")
        ),
        *((m, "branch") for m in ("b", "bl", "bx", "blx", "ble", "blt", "bne", "bls", "cbz", "cbnz", "tbb")),
        *(
            (m, "alu")
            for m in ("bic", "add", "movs", "mul", "mls", "it", "itte", "cmp", "lsls", "adr", "sub", "asr")
        ),
        *((m, "fpu") for m in ("vmov", "vmov.f32", "vmrs")),
    ],
)
def test_classes(mnemonic: str, kind: str) -> None:
    assert classify(mnemonic) == kind


def test_what_touches_the_stack_and_is_no_edge_of_a_function() -> None:
    text = """
00000000 <f>:
   0:	push	{r4, lr}
   2:	str.w	lr, [sp, #-4]!
   6:	ldr	r0, [sp, #8]
   8:	ldr.w	r0, [sp]
   c:	strd	r0, r1, [sp, #16]
  10:	ldr	r0, [r1, #8]
  12:	ldmia.w	sp, {r0, r1}
  16:	ldmia.w	sp!, {r0, r1}
  1a:	vldr	s0, [sp, #4]
  1e:	add	r0, sp, #8
  20:	ldr	r3, [pc, #4]	@ (28 <f+0x28>)
  22:	ldr.w	pc, [sp], #4
  26:	beq.n	0 <f>
  28:	.word	0x00000000
"""
    found = read_listing(text).instructions
    assert [f"{i.address:x}" for i in found if i.stack] == ["6", "8", "c", "12", "1a"]
    assert [i.mnemonic for i in found][-2:] == ["ldr", "beq"]
    assert found[-1].operands == "0" and {i.function for i in found} == {"f"}


def test_flags_are_those_of_the_firmware() -> None:
    text = (spec.firmware_dir() / "cmake" / "dft_add_firmware.cmake").read_text(encoding="utf-8")
    c_flags = re.search(r"COMPILE_LANGUAGE:C>:(.*?)>", text, re.DOTALL)
    assert c_flags is not None
    wanted = set(re.split(r"[;\\\n]+", c_flags[1])) - {'"', "-fstack-usage", ""}
    assert set(image.OPTIMISE) | set(image.WARN) == {w.strip('"') for w in wanted}
    assert all(flag in text for flag in image.ENGINE_ONLY)
    toolchain = (spec.firmware_dir() / "cmake" / "arm-none-eabi.cmake").read_text(encoding="utf-8")
    assert " ".join(core("m7").flags) in toolchain


def counted(graph: Graph, on: Core, where: Path, x: np.ndarray) -> tuple[Trace, Engine]:
    where.mkdir()
    engine = generate(graph, load_target("stm32h743"))
    return run(image.build(engine, on, where), on, x, where), engine


def test_unicorn_counts_the_same(tmp_path: Path) -> None:
    """Operator by operator, but for the first, which there has the opening of the engine."""
    graph = phinet_like()
    x = np.random.default_rng(0).integers(-128, 128, (1, *graph.input.shape[1:])).astype(np.int8)
    trace, engine = counted(graph, core("m7"), tmp_path / "qemu", x)
    layout = plan(graph, [RegionSpec("axi", 512 << 10, 32)])
    (tmp_path / "unicorn").mkdir()
    elf = arm_model.build(graph, layout, tmp_path / "unicorn")
    y, ops = arm_model.run(graph, layout, elf, x[0])
    theirs: dict[int, int] = {}
    for op in ops:
        theirs[op.index] = theirs.get(op.index, 0) + op.instructions
    first, *others = [o.index for o in engine.ops]
    assert len(others) > 10
    assert {i: trace.ops[i] for i in others} == {i: theirs[i] for i in others}
    assert 0 <= theirs[first] - trace.ops[first] < 1000
    assert np.array_equal(y, trace.outputs[0])


def test_both_cores_give_the_same_bits(tmp_path: Path) -> None:
    graph = random_graph(3, ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"])
    x = np.random.default_rng(1).integers(-128, 128, (2, *graph.input.shape[1:])).astype(np.int8)
    traces = {c.name: counted(graph, c, tmp_path / c.name, x)[0] for c in CORES}
    assert set(traces) == {"m7", "m4"}
    assert np.array_equal(traces["m7"].outputs, traces["m4"].outputs)
    assert all(t.instructions > 1000 for t in traces.values())


def instructions(*lines: str) -> list[Instruction]:
    text = "\n".join(f"   {2 * i:x}:\t{line}" for i, line in enumerate(lines))
    return list(read_listing(text).instructions)


def test_code_that_the_emulator_cut_at_a_page_is_one_piece() -> None:
    """As often executed, nowhere else entered, and no branch between: only then."""
    listing = Listing(instructions("nop", "add\tr0, r1", "nop", "b.n\t0 <f>", "nop", "nop"))
    halves = [Block(0, 2, 5, 0), Block(0, 2, 7, 1), Block(4, 2, 5, 0), Block(4, 2, 7, 1), Block(8, 1, 12, 0)]

    def lengths(blocks: list[Block]) -> list[int]:
        return [len(s.code) for s in profile.straights(listing, blocks)]

    assert lengths(halves) == [4, 1]
    assert profile.straights(listing, halves)[0].counts == {0: 5, 1: 7}
    assert lengths([*halves[:3], Block(4, 2, 8, 1)]) == [2, 2]
    assert lengths([*halves, Block(4, 1, 3, 0)]) == [2, 1, 2, 1]
    with pytest.raises(CheckFailed, match="where the image has none"):
        lengths([Block(100, 1, 1, 0)])


def test_blocks_as_llvm_mca_takes_them() -> None:
    block = instructions(
        "itt\tne", "movne\tr0, #1", "addne\tr1, r1, #1", "ldr\tr2, [pc, #128]", "cbz\tr2, 200 <f>"
    )
    assert cycles.assembly(block).split("\n") == [
        "mov r0, #1",
        "add r1, r1, #1",
        "ldr r2, [pc, #8]",
        "cbz r2, #32",
    ]
    assert cycles.assembly(instructions("it\teq")) == ""
    many = instructions(
        "push\t{r4, r5, lr}", "ldmia.w\tr0!, {r1, r2}", "stmia.w\tr3, {r1, r2, r4, r5}", "pop\t{r4, pc}"
    )
    assert cycles.assembly(many).split("\n") == [
        *("strd r4, r5, [sp]", "str lr, [sp]"),
        "ldrd r1, r2, [r0]",
        *("strd r1, r2, [r3]", "strd r4, r5, [r3]"),
        *("ldr r4, [sp]", "bx lr"),
    ]
    calls = instructions(
        "bl\t200 <f>", "blx\tr3", "bx\tlr", "ble.n\t200 <f>", "bls.w\t200 <f>", "b.n\t200 <f>"
    )
    jumps = ["b #256", "bx r3", "bx lr", "ble #256", "bls #256", "b #256"]
    assert cycles.assembly(calls).split("\n") == jumps


@pytest.mark.skipif(cycles.find_mca() is None, reason="llvm-mca of LLVM 22 is not installed")
def test_cycles_of_known_blocks(tmp_path: Path) -> None:
    """Two additions issue together; a text that is no code counts as one cycle a line, and is counted."""
    mca = cycles.find_mca()
    assert mca is not None
    one = cycles.Estimator(mca, core("m7"), tmp_path / "mca.json")
    pair, broken = "add r0, r1, r2\nadd r3, r4, r5", "no such code\nat all"
    found = one.cycles([pair, broken, ""])
    assert 1.0 <= found[pair] <= 1.1
    assert (found[broken], found[""], one.failed) == (2.0, 0.0, 1)
    kept = cycles.Estimator(Path("/nowhere"), core("m7"), tmp_path / "mca.json")
    assert kept.cycles([pair, broken, ""]) == found


def tool(*arguments: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    if path is not None:
        environment["PATH"] = path
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_tool_says_what_it_counted(bundle: Bundle) -> None:
    model = bundle.folder / MODEL
    done = tool(model, "--json", "--inputs", "2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bit_exact"] is True and found["inputs"] == 2
    assert found["macs"] == 16 * 16 * 8 * 27 + 8
    assert (
        found["instructions"] == sum(o["instructions"] for o in found["ops"]) + found["rest"] > found["macs"]
    )
    assert sum(found["classes"].values()) >= found["instructions"] == found["highest"]
    for name in (
        "code_bytes",
        "const_bytes",
        "ram_bytes",
        "stack_bytes",
        "weight_bytes",
        "lower_bound_bytes",
    ):
        assert found[name] > 0, name
    assert found["weight_bytes"] == 8 * 27 + 8
    hottest = found["hot"][0]
    assert hottest["times"] * len(hottest["code"]) > 0.1 * found["instructions"]
    text = tool(model, "--worst", "--hot", "1").stdout
    assert hottest["code"][0] in text
    assert f"{found['instructions']:,} an inference" in text
    # Eight channels and one, without a table: six bytes each; what is wide is told apart.
    assert (found["output_channels"], found["table_bytes"], found["const_allowed_bytes"]) == (9, 0, 54)
    rest = found["const_bytes"] - found["wide_bytes"]
    wide = f", and wide weights {found['wide_bytes']:,}" if found["wide_bytes"] else ""
    assert f"constants {rest:,}{wide}; for a" in text
    assert "54 are allowed: 6 bytes for each of 9 output channels (54)" in text
    assert "CONV_2D" in text


def test_wide_weights_are_told_apart() -> None:
    """No net of these tests takes any now; bigger ones do."""
    counts = SimpleNamespace(
        const_bytes=900, wide_bytes=300, output_channels=50, table_bytes=256, const_allowed_bytes=556
    )
    text = view._constants(cast(Any, counts))
    assert "constants 600, and wide weights 300; for a PhiNet 556 are allowed" in text
    counts.wide_bytes = 0
    assert "constants 900; for a PhiNet 556 are allowed" in view._constants(cast(Any, counts))


def test_both_variants_of_the_convolutions_are_counted() -> None:
    """More instructions, fewer modelled cycles, the same bits: this is what the choice is about."""
    found = [
        json.loads(tool("pointwise", "--json", "--inputs", "2", *more).stdout)
        for more in ([], ["--paired-loads"])
    ]
    assert [f["paired_loads"] for f in found] == [False, True] and all(f["bit_exact"] for f in found)
    assert found[0]["instructions"] < found[1]["instructions"]
    if cycles.find_mca() is not None:
        assert found[0]["cycles_modelled"] > found[1]["cycles_modelled"]


def test_wrong_use_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    model = bundle.folder / MODEL
    (tmp_path / "wrong.tflite").write_bytes(b"no model at all, and not short either")
    absent, wrong = tmp_path / "absent.tflite", tmp_path / "wrong.tflite"
    for arguments in ([absent], [wrong], [model, "--inputs", "0"], [model, "--top", "-1"]):
        done = tool(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    without = tool(model, path=str(tmp_path))
    assert without.returncode == 2
    assert "arm-none-eabi-gcc was not found; install it" in without.stderr


def test_without_llvm_mca_no_cycles_are_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "find_mca", lambda: None)
    found = measure((bundle.folder / MODEL).read_bytes(), "small", core("m7"), load_target("stm32h743"), 1)
    assert found.cycles_modelled is None and all(o.cycles_modelled is None for o in found.ops)
    text = view.text(found)
    assert "llvm-mca of LLVM 22 was not found" in text
    assert f"{found.instructions:,} an inference" in text
    assert "per MAC" in view.line(found) and view.hot_text(found, 1).count("instructions,") == 1
