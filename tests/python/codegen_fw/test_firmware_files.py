"""Generated C and linker text: the same twice, guarded, true to spec/, and refused where it cannot be."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dftiny import spec
from dftiny.artifact import write_json
from dftiny.codegen import firmware
from dftiny.codegen.guard import codegen_version
from dftiny.codegen.linker_ld import linker_ld
from dftiny.codegen.needs import FirmwareNeeds, RegionNeed, needs_of_bundle
from dftiny.codegen.protocol_h import protocol_h, shipped_protocol_h
from dftiny.codegen.regions_c import regions_c
from dftiny.errors import CheckFailed, DftError
from dftiny.link import messages
from dftiny.target import load_target

BOARDS = ("host", "mps2_an500", "nucleo_h743zi")


def defines(text: str) -> dict[str, str]:
    return dict(re.findall(r"^#define (\w+) (.+)$", text, re.MULTILINE))


def needs(*regions: RegionNeed) -> FirmwareNeeds:
    return FirmwareNeeds(100, 2, regions, 3, bytes(32))


@pytest.mark.parametrize("board", BOARDS)
def test_generated_twice_is_the_same_to_the_byte(board: str) -> None:
    assert firmware.firmware_files(None, board, "echo") == firmware.firmware_files(None, board, "echo")


def test_every_message_and_field_has_the_offsets_that_python_uses() -> None:
    found = defines(shipped_protocol_h())
    for layout in messages.layouts().values():
        name = layout.name.upper()
        assert int(found[f"DFT_MSG_{name}"].rstrip("u"), 16) == layout.id
        frame = messages.encode(layout.name, **probe(layout))
        fixed = int(found[f"DFT_{name}_BYTES"].rstrip("u"))
        assert fixed == len(frame.payload) - (3 if layout.rest else 0)
        for field, kind in layout.fixed:
            at = int(found[f"DFT_{name}_{field.upper()}_AT"].rstrip("u"))
            marked = messages.encode(layout.name, **{**probe(layout), field: mark(kind)}).payload
            assert next(i for i, (a, b) in enumerate(zip(frame.payload, marked, strict=True)) if a != b) == at


def probe(layout: messages.Layout) -> dict[str, object]:
    values: dict[str, object] = {f: mark(k, 0) for f, k in layout.fixed}
    return {**values, **({layout.rest: b"abc"} if layout.rest else {})}


def mark(kind: str, value: int = 1) -> object:
    if kind == "str16":
        return "x" * value
    return bytes([value]) * int(kind[5:]) if kind.startswith("bytes") else value


def test_constants_and_digest() -> None:
    found = defines(shipped_protocol_h())
    for name, value in spec.protocol()["status"].items():
        assert found[f"DFT_REPLY_{name.upper()}"] == f"{value}u"
    digest = bytes(int(b, 16) for b in re.findall(r"0x(..)", found["DFT_PROTOCOL_DIGEST"]))
    assert digest == spec.protocol_digest()


def test_a_change_of_the_protocol_changes_the_digest_but_not_a_comment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = spec.protocol_digest()
    changed = {**spec.protocol(), "max_payload": 1041}
    monkeypatch.setattr(spec, "protocol", lambda: changed)
    assert spec.protocol_digest.__wrapped__() != before


@pytest.mark.parametrize("fields", [[["x", "u24"]], [["data", "rest"], ["x", "u8"]]])
def test_fields_that_have_no_place_are_refused(fields: list[list[str]]) -> None:
    message = {"name": "odd", "id": 9, "doc": "", "fields": fields}
    with pytest.raises(DftError, match="odd"):
        protocol_h({**spec.protocol(), "message": [message]}, bytes(8))


def test_files_of_another_version_stop_the_compiler(tmp_path: Path) -> None:
    text = shipped_protocol_h()
    version = codegen_version()
    path = tmp_path / "dft_protocol.h"
    command = ["gcc", "-fsyntax-only", "-x", "c", "-I", str(spec.firmware_dir() / "include"), str(path)]
    assert shutil.which("gcc")
    for written, ok in ((version, True), (version + 1, False)):
        path.write_text(text.replace(f"!= {version}", f"!= {written}"))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is ok
    assert "generate it again" in done.stderr


def test_arenas_are_exactly_as_large_as_needed() -> None:
    text = regions_c(needs(RegionNeed("axi", 1234, 32), RegionNeed("d2", 64, 16)), load_target("stm32h743"))
    assert 'arena_axi[1234] __attribute__((aligned(32), section(".bss.dft_axi")))' in text
    assert 'arena_d2[64] __attribute__((aligned(16), section(".bss.dft_d2")))' in text
    assert "dft_regions_n = 2u" in text
    assert "dft_op_ticks[3]" in text


def test_a_region_that_the_target_lacks_or_that_is_too_small() -> None:
    h743 = load_target("stm32h743")
    with pytest.raises(DftError, match="'sdram', which stm32h743 does not have"):
        regions_c(needs(RegionNeed("sdram", 8, 8)), h743)
    with pytest.raises(CheckFailed, match="524289 bytes of axi, stm32h743 has 524288"):
        regions_c(needs(RegionNeed("axi", 524289, 8)), h743)
    with pytest.raises(CheckFailed, match="has 122880"):  # the stack's share of dtcm is not to be had
        regions_c(needs(RegionNeed("dtcm", 122881, 8)), h743)
    with pytest.raises(DftError, match="flash"):
        regions_c(needs(RegionNeed("flash", 8, 8)), h743)


def test_the_linker_script_has_the_targets_regions() -> None:
    for name in spec.names("targets"):
        target = load_target(name)
        text = linker_ld(target)
        for region in target.regions:
            assert f"ORIGIN = 0x{region.origin:08X}, LENGTH = {region.bytes}\n" in text
        assert f". += {target.statics_region.stack_bytes};" in text


def test_another_stack_and_region_need_no_change_of_code() -> None:
    h743 = load_target("stm32h743")
    regions = tuple(dataclasses.replace(r, stack_bytes=4096) if r.stack_bytes else r for r in h743.regions)
    assert ". += 4096;" in linker_ld(dataclasses.replace(h743, regions=regions))


def test_bundles_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="cannot read bundle"):
        needs_of_bundle(tmp_path)
    write_json(tmp_path / "bundle.json", {"input": {"shape": [1]}})
    with pytest.raises(DftError, match="is not a dftiny bundle"):
        needs_of_bundle(tmp_path)


def test_only_echo_can_do_without_a_bundle() -> None:
    with pytest.raises(DftError, match="needs a bundle"):
        firmware.firmware_files(None, "host", "aot")


def test_the_module_writes_once_and_leaves_equal_files_alone(tmp_path: Path) -> None:
    arguments = ["--board", "mps2_an500", "--engine", "echo", "--out", str(tmp_path)]
    assert firmware.main(arguments) == 0
    written = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert set(written) == {
        "dft_protocol.h",
        "dft_board_config.h",
        "regions.c",
        "dft_verdict_data.c",
        "link.ld",
        "dft_echo_config.h",
    }
    assert firmware.main(arguments) == 0
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == written


def test_the_module_says_one_sentence_and_exits_as_dftiny(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert firmware.main(["--board", "abacus", "--engine", "echo", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("dftiny: unknown board 'abacus'")
