"""The self-test's made-up layers on the Cortex-M7's kernels: the whole catalogue in one image under QEMU."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_qemu_mps2 import patched

from dftiny.artifact import write_manifest
from dftiny.budget import region_specs
from dftiny.build import build
from dftiny.bundle import Bundle
from dftiny.codegen.proofs_c import operators_c
from dftiny.codegen.selftest_c import proofs_file_c
from dftiny.codegen.vectors_c import symbol_of, table_c, vector_c
from dftiny.link.boards import qemu_board
from dftiny.plan import plan
from dftiny.selftest import LOADS, Outcome, Report, examine, text
from dftiny.target import load_target
from dftiny.vectors import all_vectors

pytestmark = pytest.mark.emu


@pytest.fixture(scope="module")
def elf(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small net with every layer there is, not only those of its own kernels."""
    folder = tmp_path_factory.mktemp("vectors") / "bundle"
    shutil.copytree(bundle.folder, folder)
    made = plan(bundle.graph(), region_specs(load_target("stm32h743")))
    texts = {f"dft_vector_{symbol_of(v)}.c": vector_c(v) for v in all_vectors()}
    texts["dft_proofs.c"] = proofs_file_c(operators_c(made), table_c(all_vectors()))
    for name, source in texts.items():
        (folder / "selftest" / name).write_text(source, encoding="utf-8")
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    write_manifest(folder, "bundle", files=[f for f in files if f != "manifest.json"])
    build(folder, "mps2_an500", folder.parent / "build")
    return folder.parent / "build" / "firmware.elf"


def outcomes(elf: Path) -> tuple[Report, dict[str, Outcome]]:
    with qemu_board(elf) as transport:
        report = examine(transport, None)
    return report, {o.name: o for o in report.outcomes}


def test_every_family_of_kernels_gives_the_oracles_bits(elf: Path) -> None:
    report, found = outcomes(elf)
    assert {v.name for v in all_vectors()} < set(found)
    assert report.failed == () and {o.status for o in found.values()} == {"passed"}
    assert all(0 < found[v.name].detail <= found[v.name].ticks for v in all_vectors())


def test_both_loops_of_the_convolutions_are_timed_in_one_image(elf: Path) -> None:
    """Ticks of 40 instructions: 0.69 a product with LDRD, 0.875 with LDR, and what is around them."""
    report, found = outcomes(elf)
    ticks = [found[name].detail for name in LOADS]
    assert 0.69 * 8192 / 40 < ticks[0] < ticks[1] < 1.5 * 8192 / 40
    assert ticks[1] - ticks[0] == pytest.approx((0.875 - 0.6875) * 8192 / 40, abs=3)
    said = text(report, None)
    assert f"pointwise LDRD {ticks[0]} ticks, LDR {ticks[1]} ticks" in said
    assert "only a real board can say" in said


@pytest.mark.parametrize("name", ["layer conv", "layer dw wide", "pointwise LDR"])
def test_a_wrong_layer_is_found_by_name(elf: Path, tmp_path: Path, name: str) -> None:
    symbol = f"vector_{name.lower().replace(' ', '_')}_k0"
    _, found = outcomes(patched(elf, symbol, b"\x7f\x80\x7f\x80", tmp_path / "broken.elf"))
    assert {n for n, o in found.items() if o.status != "passed"} == {name}


def test_a_wrong_kernel_is_found_though_the_net_does_without_it(elf: Path, tmp_path: Path) -> None:
    """The kernel of wide windows returns at once: the net has none, its sums are right."""
    broken = patched(elf, "dft_depthwise_wide_rows", bytes.fromhex("7047"), tmp_path / "broken.elf")  # bx lr
    _, found = outcomes(broken)
    assert {n for n, o in found.items() if o.status != "passed"} == {"layer dw wide"}
    assert found["kernels"].status == "passed"


def test_a_bundle_carries_the_layers_of_its_own_kernels(
    aot_elf: Callable[[str], Path], bundle: Bundle
) -> None:
    _, found = outcomes(aot_elf("mps2_an500"))
    layers = {n for n in found if n.startswith("layer ")}
    assert layers == {"layer conv", "layer mean"}
    assert {p.name for p in (bundle.folder / "src").iterdir()} == {"dft_model.c", "dft_model.h"}
