"""flash against a stand-in on PATH: its arguments, its failures, and what is refused before it is called."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from dftiny import flash as flash_module
from dftiny.artifact import write_manifest
from dftiny.errors import CheckFailed, DftError
from dftiny.flash import PROGRAMMER, flash, flash_address, usual_places


def build(folder: Path, board: str = "nucleo_h743zi", *files: str) -> Path:
    folder.mkdir()
    for name in files or ("firmware.bin", "firmware.hex"):
        (folder / name).write_bytes(b"\1\2\3")
    write_manifest(folder, "build", files=[p.name for p in folder.iterdir()], config={"board": board})
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called STM32_Programmer_CLI that notes its arguments and does what its environment says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / PROGRAMMER
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\n"
        f"open({str(tmp_path / 'argv.json')!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
        "time.sleep(float(os.environ.get('STAND_IN_SLEEP', '0')))\n"
        "print('banner'); print(os.environ.get('STAND_IN_SAYS', 'File download complete'))\n"
        "sys.exit(int(os.environ.get('STAND_IN_CODE', '0')))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "argv.json"


def test_arguments(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "build")
    flash(folder)
    image = str(folder / "firmware.bin")
    assert json.loads(stand_in.read_text()) == [
        "-c",
        "port=SWD",
        "mode=UR",
        "-w",
        image,
        "0x08000000",
        "-v",
        "-rst",
    ]
    said = capsys.readouterr().out
    assert "0x08000000" in said
    assert "3 bytes written and verified" in said


def test_serial_number_chooses_the_probe(stand_in: Path, tmp_path: Path) -> None:
    flash(build(tmp_path / "build"), serial_number="0667FF31")
    assert json.loads(stand_in.read_text())[:4] == ["-c", "port=SWD", "mode=UR", "sn=0667FF31"]


@pytest.mark.parametrize("code", [1, 3])
def test_a_failing_programmer_is_a_failed_check(
    code: int, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_CODE", str(code))
    monkeypatch.setenv("STAND_IN_SAYS", "Error: No STM32 target found!")
    with pytest.raises(CheckFailed, match=rf"failed with code {code}: .*Error: No STM32 target found!") as e:
        flash(build(tmp_path / "build"))
    assert e.value.exit_code == 1
    assert stand_in.exists()


@pytest.mark.usefixtures("stand_in")
def test_a_hanging_programmer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_module, "FLASH_S", 0.3)
    monkeypatch.setenv("STAND_IN_SLEEP", "30")
    with pytest.raises(CheckFailed, match="did not end within"):
        flash(build(tmp_path / "build"))


def test_a_missing_programmer_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(flash_module, "usual_places", lambda: iter([tmp_path / "nowhere"]))
    with pytest.raises(DftError, match="was not found") as e:
        flash(build(tmp_path / "build"))
    assert e.value.exit_code == 2
    assert "install STM32CubeProgrammer" in e.value.hint


def test_the_usual_places_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "STMicroelectronics" / "STM32Cube" / "STM32CubeProgrammer" / "bin" / PROGRAMMER
    assert place in list(usual_places())
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\nexit 7\n")
    place.chmod(0o755)
    with pytest.raises(CheckFailed, match="code 7: it said nothing"):
        flash(build(tmp_path / "build"))


def test_only_a_build_for_silicon_is_flashed(stand_in: Path, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="which has no flash") as e:
        flash(build(tmp_path / "build", "mps2_an500"))
    assert e.value.exit_code == 2
    with pytest.raises(DftError, match=r"holds no firmware\.bin"):
        flash(build(tmp_path / "half", "nucleo_h743zi", "firmware.elf"))
    with pytest.raises(DftError, match="there is no folder"):
        flash(tmp_path / "nope")
    (tmp_path / "build" / "firmware.bin").write_bytes(b"other")
    with pytest.raises(CheckFailed, match="was changed"):
        flash(tmp_path / "build")
    assert not stand_in.exists()


def test_the_address_is_the_targets() -> None:
    assert flash_address("stm32h743") == 0x08000000
