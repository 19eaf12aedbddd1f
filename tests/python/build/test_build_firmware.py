"""`dftiny build`: what it leaves behind, that it repeats, and its one-sentence refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dftiny import elf, spec
from dftiny.artifact import read_manifest, write_json, write_manifest
from dftiny.build import BUILT_CORE, build
from dftiny.errors import CheckFailed, DftError
from dftiny.target import load_target


@pytest.fixture(scope="module")
def nucleo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "nucleo"
    build(None, "nucleo_h743zi", out, engine="echo")
    return out


def test_what_is_left_behind(nucleo: Path) -> None:
    manifest = read_manifest(nucleo, "build")
    names = {n for n in manifest.files if "/" not in n}
    assert names == {"firmware.elf", "firmware.bin", "firmware.hex", "firmware.map", "size.json"}
    assert "gen/link.ld" in manifest.files
    assert manifest.config == {
        "board": "nucleo_h743zi",
        "engine": "echo",
        "sanitize": False,
        "paired_loads": False,
    }


def test_the_binary_begins_with_stack_and_reset(nucleo: Path) -> None:
    data = (nucleo / "firmware.bin").read_bytes()
    h743 = load_target("stm32h743")
    dtcm = h743.statics_region
    assert int.from_bytes(data[:4], "little") == dtcm.origin + dtcm.stack_bytes
    reset = int.from_bytes(data[4:8], "little")
    assert reset & 1
    assert h743.flash.origin < reset < h743.flash.origin + len(data)


def test_sizes_agree_with_binutils(nucleo: Path) -> None:
    sizes = json.loads((nucleo / "size.json").read_text())
    out = subprocess.run(
        ["arm-none-eabi-size", "-A", nucleo / "firmware.elf"], capture_output=True, text=True, check=True
    ).stdout
    theirs = {
        n: int(b)
        for n, b, a in re.findall(r"^(\.\S+)\s+(\d+)\s+(\d+)$", out, re.MULTILINE)
        if int(a) and int(b)
    }
    assert sizes["sections"] == theirs
    assert sizes["regions"]["flash"]["bytes"] == (nucleo / "firmware.bin").stat().st_size
    assert sizes["regions"]["axi"]["bytes"] == 128 * 128 * 3
    assert sizes["regions"]["dtcm"]["reserved"] == load_target("stm32h743").statics_region.stack_bytes


def test_objects_of_the_map_add_up_to_the_sections(nucleo: Path) -> None:
    sizes = json.loads((nucleo / "size.json").read_text())
    total = {k: sum(o.get(k, 0) for o in sizes["objects"].values()) for k in ("text", "rodata", "arena")}
    sections = sizes["sections"]
    assert total["arena"] == sum(n for name, n in sections.items() if name.startswith(".dft_"))
    assert abs(total["text"] - sections[".text"] - sections[".vectors"]) <= 16
    assert abs(total["rodata"] - sections[".rodata"]) <= 16
    assert sizes["objects"]["uart.c"]["bss"] >= 2048


def test_two_builds_are_equal_to_the_byte_and_hold_no_path(nucleo: Path, tmp_path: Path) -> None:
    build(None, "nucleo_h743zi", tmp_path / "again", engine="echo")
    for path in sorted(p for p in nucleo.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(nucleo)).read_bytes(), path.name
    root = str(Path(__file__).resolve().parents[3]).encode()
    for name in ("firmware.elf", "firmware.map"):
        data = (nucleo / name).read_bytes()
        assert root not in data
        assert b"dftiny-build-" not in data


def bundle_of(folder: Path, region: str, n: int) -> Path:
    folder.mkdir()
    value = {
        "input": {"shape": [4, 4, 3]},
        "output": {"shape": [2]},
        "regions": [{"name": region, "bytes": n, "align": 32}],
        "ops": [],
    }
    write_json(folder / "bundle.json", value)
    write_manifest(folder, "bundle", files=["bundle.json"])
    return folder


def test_echo_takes_its_sizes_and_digest_from_a_bundle(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", "axi", 64)
    manifest = build(bundle, "mps2_an500", tmp_path / "out", engine="echo")
    assert manifest.parents == {"bundle": read_manifest(bundle).digest}
    assert json.loads((tmp_path / "out" / "size.json").read_text())["regions"]["axi"]["bytes"] == 4 * 4 * 3


@pytest.mark.parametrize(
    ("board", "options", "says", "code"),
    [
        ("abacus", {}, "unknown board 'abacus'", 2),
        ("mps2_an500", {"engine": "echo", "sanitize": True}, "sanitizers need an operating system", 2),
        ("mps2_an500", {"engine": "aot"}, "needs a bundle", 2),
    ],
)
def test_wrong_use(tmp_path: Path, board: str, options: dict[str, object], says: str, code: int) -> None:
    with pytest.raises(DftError, match=says) as e:
        build(None, board, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert e.value.exit_code == code
    assert not (tmp_path / "out").exists()


def test_a_chip_with_another_core_is_refused(tmp_path: Path) -> None:
    """It would link, and fault at its first instruction that the core does not have."""
    flags = (spec.firmware_dir() / "cmake/arm-none-eabi.cmake").read_text(encoding="utf-8")
    assert set(re.findall(r"-mcpu=([\w-]+)", flags)) == {BUILT_CORE}
    table = (spec.tree_dir() / "python/dftiny/spec/boards/nucleo_h743zi.toml").read_text(encoding="utf-8")
    (tmp_path / "small.toml").write_text(table.replace('"stm32h743"', '"stm32l4r5"'))
    with pytest.raises(DftError, match="compiled for cortex-m7, stm32l4r5 has a cortex-m4"):
        build(None, str(tmp_path / "small.toml"), tmp_path / "out", engine="echo")
    assert not (tmp_path / "out").exists()


def test_a_missing_toolchain_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DftError, match=r"cmake was not found; install it: sudo apt install cmake"):
        build(None, "nucleo_h743zi", tmp_path / "out", engine="echo")


def test_the_measure_of_code_names_the_missing_compiler(tmp_path: Path) -> None:
    tool = spec.tree_dir() / "tools/code_size"
    done = subprocess.run(
        [sys.executable, tool, "--check"],
        check=False,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("tools/code_size: arm-none-eabi-gcc was not found; install it: ")
    assert done.stderr.count("\n") == 1


def with_sources(bundle: Path, model: str) -> Path:
    """The bundle with `model` as its dft_model.c, and nothing for the self-test."""
    texts = {
        "src/dft_model.c": model,
        "selftest/dft_proofs.c": '#include "dft/proofs.h"\nconst dft_proofs dft_the_proofs = {0};\n',
    }
    for name, text in texts.items():
        (bundle / name).parent.mkdir()
        (bundle / name).write_text(text)
    write_manifest(bundle, "bundle", files=["bundle.json", *texts])
    return bundle


def test_what_does_not_compile_is_said_in_one_sentence(tmp_path: Path) -> None:
    bundle = with_sources(
        bundle_of(tmp_path / "bundle", "axi", 64),
        "int broken(void);\nint broken(void) { return nothing_like_it; }\n",
    )
    with pytest.raises(CheckFailed, match=r"did not build: bundle/src/dft_model.c:2.*error.*nothing_like_it"):
        build(bundle, "mps2_an500", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_region_that_overflows_is_named(tmp_path: Path) -> None:
    """The linker refuses what the generator cannot foresee: constants that fill the flash."""
    source = '#include "dft/engine.h"\nextern const char much[];\nconst char much[3 << 20] = {1};\n'
    source += "const dft_engine dft_the_engine = {.name = much};\n"
    bundle = with_sources(bundle_of(tmp_path / "bundle", "axi", 64), source)
    with pytest.raises(CheckFailed, match="region `flash' overflowed"):
        build(bundle, "mps2_an500", tmp_path / "out")


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(20), b"text" * 40, b"\x7fELF\x01\x01" + b"\xff" * 80]
)
def test_files_that_are_no_elf(data: bytes) -> None:
    with pytest.raises(DftError):
        elf.sections(data)


def test_padding_between_sections_counts() -> None:
    h743 = load_target("stm32h743")
    found = (
        elf.Section(".text", h743.flash.origin, 100, True, h743.flash.origin),
        elf.Section(".rodata", h743.flash.origin + 128, 10, True, h743.flash.origin + 128),
    )
    assert elf.region_use(found, h743)["flash"].bytes == 138


def test_code_that_runs_from_ram_counts_once_in_flash() -> None:
    """It is stored between two sections of flash: the second one's address already leaves room for it."""
    h743 = load_target("stm32h743")
    flash, itcm = h743.flash.origin, h743.region("itcm").origin
    found = (
        elf.Section(".vectors", flash, 64, True, flash),
        elf.Section(".code", itcm + 256, 100, True, flash + 64),
        elf.Section(".text", flash + 164, 1000, True, flash + 164),
        elf.Section(".data", h743.region("dtcm").origin, 20, True, flash + 1164),
    )
    uses = elf.region_use(found, h743)
    assert uses["flash"].bytes == 1184 and uses["itcm"].bytes == 356 and uses["dtcm"].bytes == 20
