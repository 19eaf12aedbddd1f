"""What is in the ELFs: no instruction that emulators disagree on, no recursion, a stack that its bound covers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from firmware_of import linked
from h743 import H743
from random_graphs import KINDS, random_graph

from dftiny import spec, stack
from dftiny.build import build
from dftiny.bundle import Bundle
from dftiny.code_size import load_code_sizes
from dftiny.codegen.linker_ld import NULL_BYTES
from dftiny.errors import CheckFailed
from dftiny.link.device import Device
from dftiny.target import load_target

ROOT = Path(__file__).resolve().parents[2]
BOARDS = {"nucleo_h743zi": "stm32h743", "mps2_an500": "mps2_an500"}

# QEMU, Renode and unicorn differ on these (Renode also faults on VRINT); VCVT in its fixed-point forms only.
DISAGREED = re.compile(r"^(sel|smlaldx?|uhadd8|uhsub8|vrint\w*)(\.|$)")


def instructions(elf: Path) -> list[tuple[str, str]]:
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", elf], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^\s+[0-9a-f]+:\t(\S+)\s*(.*)$", text, re.MULTILINE)
    return [(m, o) for m, o in found if not m.startswith(".")]


@pytest.fixture(params=[(b, e) for b in BOARDS for e in ("echo", "aot")], ids="-".join)
def image(
    request: pytest.FixtureRequest, echo_elf: Callable[[str], Path], aot_elf: Callable[[str], Path]
) -> tuple[Path, str]:
    """An ELF and its target's name."""
    board, engine = request.param
    return (echo_elf if engine == "echo" else aot_elf)(board), BOARDS[board]


def test_no_disputed_instruction(image: tuple[Path, str]) -> None:
    found = instructions(image[0])
    assert len(found) > 1000
    assert [i for i in found if DISAGREED.match(i[0])] == []
    assert [i for i in found if i[0].startswith("vcvt") and "#" in i[1]] == []


def test_the_search_would_find_one() -> None:
    assert all(DISAGREED.match(m) for m in ("sel", "smlald", "smlaldx", "uhadd8", "uhsub8", "vrinta.f32"))
    assert not any(DISAGREED.match(m) for m in ("smlad", "smladx", "sxtb16", "vcvt.f32.s32"))


def stack_tool(elf: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "stack", elf], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_no_recursion_and_the_stack_is_bounded(image: tuple[Path, str]) -> None:
    code, text = stack_tool(image[0])
    assert code == 0, text
    bound = int(re.search(r"stack bound: (\d+) bytes", text)[1])  # type: ignore[index]
    reserved = load_target(image[1]).statics_region.stack_bytes
    assert 100 < bound < reserved / 2


def test_the_measured_peak_is_within_the_bound(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    elf = aot_elf("nucleo_h743zi")
    chip = H743(elf, interrupts=True)  # each byte's interrupt adds its frame to whatever runs
    chip.instructions_a_byte = 160
    device = Device(chip)
    device.infer(bundle.golden()[0][0].tobytes())
    assert chip.handled > 1000
    measured = device.stats().stack_peak_bytes
    bound = int(re.search(r"stack bound: (\d+) bytes", stack_tool(elf)[1])[1])  # type: ignore[index]
    assert bound / 4 < measured <= bound


def test_recursion_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firmware tree whose echo engine calls itself: no build folder is left behind."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "firmware", tree / "firmware")
    shutil.copy2(ROOT / "CMakeLists.txt", tree)
    echo = tree / "firmware" / "engines" / "echo" / "echo.c"
    text = echo.read_text(encoding="utf-8")
    looping = "dft_status loops(int n);\ndft_status loops(int n) {\n    volatile int m = n;\n"
    looping += "    volatile dft_status s = m > 0 ? loops(m - 1) : DFT_OK;\n    return s;\n}\n\n"
    at = text.index("static dft_status echo_invoke(void)")
    changed = text[:at] + looping + text[at:].replace("return DFT_OK;", "return loops(3);", 1)
    assert changed != text
    echo.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(spec, "tree_dir", lambda: tree)
    with pytest.raises(CheckFailed, match=r"recursion: loops.* -> loops"):
        build(None, "mps2_an500", tmp_path / "out", engine="echo")
    assert not (tmp_path / "out").exists()


def test_inner_loops_run_in_the_itcm(aot_elf: Callable[[str], Path]) -> None:
    itcm = load_target("stm32h743").region("itcm")
    with aot_elf("nucleo_h743zi").open("rb") as f:
        symbols = list(ELFFile(f).get_section_by_name(".symtab").iter_symbols())
    at = {s.name: s["st_value"] for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
    hot = {n for n in at if any(fnmatchcase(n, p) for p in itcm.code)}
    assert {"dft_conv_pairs", "dft_conv_widen"} <= hot
    assert all(NULL_BYTES <= at[n] < itcm.bytes for n in hot)
    assert all(at[n] >= 0x08000000 for n in at if n.startswith(("dft_session", "uart_", "dft_run")))


def test_all_inner_loops_fit_there_at_once() -> None:
    """So no network can fail to link for their sake."""
    itcm = load_target("stm32h743").region("itcm")
    kernels = load_code_sizes().kernel
    sizes = [n for name, n in kernels.items() if any(fnmatchcase(name, p) for p in itcm.code)]
    assert len(sizes) > 50
    assert NULL_BYTES + sum(n + 3 & ~3 for n in sizes) <= itcm.bytes


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 8])
def test_every_call_by_pointer_is_followed_in_every_kernel(seed: int, tmp_path: Path) -> None:
    linked(random_graph(seed, KINDS, live=False), "nucleo_h743zi", "stm32h743", tmp_path)
    found = stack.bound(tmp_path / "build" / "firmware.elf")
    assert found.unknown == ()
    assert 500 < found.bytes < load_target("stm32h743").statics_region.stack_bytes / 2


def test_what_is_no_elf_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.elf").write_text("no ELF")
    code, text = stack_tool(tmp_path / "text.elf")
    assert code == 2
    assert "is not an ELF file" in text and "Traceback" not in text


def test_recursion_is_found(tmp_path: Path) -> None:
    """Two functions that call each other, linked like firmware."""
    source = tmp_path / "loop.c"
    source.write_text(
        "int b(int n); __attribute__((noinline)) int a(int n) { volatile int x = n; return x ? b(n - 1) + x : 0; }\n"
        "__attribute__((noinline)) int b(int n) { volatile int x = n; return a(n) + x; }\n"
        "void dft_reset(void) { volatile int x = a(3); (void)x; for (;;) {} }\n"
    )
    elf = tmp_path / "loop.elf"
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m7",
            "-mthumb",
            "-O1",
            "-nostdlib",
            "-e",
            "dft_reset",
            source,
            "-o",
            elf,
        ],
        check=True,
    )
    code, text = stack_tool(elf)
    assert code == 1
    assert "recursion" in text
    assert re.search(r"\ba\b.*\bb\b", text)
