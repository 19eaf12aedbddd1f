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


def put_stand_in(folder: Path, name: str, notes: Path) -> None:
    """A program called `name` that notes its arguments, a list a call, and does what its environment says."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys, time\n"
        f"notes = pathlib.Path({str(notes)!r})\n"
        "before = json.loads(notes.read_text()) if notes.exists() else []\n"
        "notes.write_text(json.dumps([*before, sys.argv[1:]]))\n"
        "time.sleep(float(os.environ.get('STAND_IN_SLEEP', '0')))\n"
        "print('banner'); print(os.environ.get('STAND_IN_SAYS', 'File download complete'))\n"
        "sys.exit(int(os.environ.get('STAND_IN_CODE', '0')))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """STM32_Programmer_CLI on PATH, before anything else."""
    put_stand_in(tmp_path / "bin", PROGRAMMER, tmp_path / "argv.json")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "argv.json"


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No programmer and no drive; returns the folder under which drives are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(flash_module, "usual_places", lambda: iter([tmp_path / "nowhere"]))
    monkeypatch.setattr(flash_module, "mount_points", lambda: iter([tmp_path / "media"]))
    monkeypatch.setattr(flash_module, "DRIVE_S", 0.3)
    return tmp_path / "media"


def test_arguments(stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "build")
    flash(folder)
    image = str(folder / "firmware.bin")
    (arguments,) = json.loads(stand_in.read_text())
    assert arguments == ["-c", "port=SWD", "mode=UR", "-w", image, "0x08000000", "-v", "-rst"]
    said = capsys.readouterr().out
    assert "0x08000000" in said
    assert "3 bytes written and verified" in said


def test_serial_number_chooses_the_probe(stand_in: Path, tmp_path: Path) -> None:
    flash(build(tmp_path / "build"), serial_number="0667FF31")
    assert json.loads(stand_in.read_text())[0][:4] == ["-c", "port=SWD", "mode=UR", "sn=0667FF31"]


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


COMMANDS = {
    "openocd": [
        [
            "-f",
            "board/st_nucleo_h743zi.cfg",
            "-c",
            "adapter serial 42",
            "-c",
            "program {IMAGE} verify reset exit 0x08000000",
        ]
    ],
    "st-flash": [
        ["--serial", "42", "--connect-under-reset", "--reset", "write", "IMAGE", "0x08000000"],
    ],
    "pyocd": [
        [
            "load",
            "--target",
            "stm32h743xx",
            "--uid",
            "42",
            "--connect",
            "under-reset",
            "--base-address",
            "0x08000000",
            "IMAGE",
        ],
        [
            "commander",
            "--target",
            "stm32h743xx",
            "--uid",
            "42",
            "--connect",
            "under-reset",
            "-c",
            'compare 0x08000000 "IMAGE"',
            "-c",
            "reset",
        ],
    ],
}


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", COMMANDS)
def test_another_programmer_is_used_where_it_is_there(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_stand_in(tmp_path / "bin", name, tmp_path / "argv.json")
    folder = build(tmp_path / "build")
    flash(folder, serial_number="42")
    text = (tmp_path / "argv.json").read_text().replace(str(folder / "firmware.bin"), "IMAGE")
    assert json.loads(text) == COMMANDS[name]
    assert f"by {name}" in capsys.readouterr().out
    monkeypatch.setenv("STAND_IN_CODE", "1")
    with pytest.raises(CheckFailed, match=f"{name} failed with code 1"):
        flash(folder)


@pytest.mark.usefixtures("nothing_installed")
def test_the_order_and_a_wanted_one(tmp_path: Path) -> None:
    for programmer in flash_module.PROGRAMMERS[1:]:
        put_stand_in(tmp_path / "bin", programmer.name, tmp_path / f"{programmer.name}.json")
    flash(build(tmp_path / "build"))
    assert (tmp_path / "openocd.json").exists() and not (tmp_path / "pyocd.json").exists()
    flash(tmp_path / "build", programmer="pyocd")
    assert (tmp_path / "pyocd.json").exists()
    with pytest.raises(DftError, match=f"{PROGRAMMER} was not found"):
        flash(tmp_path / "build", programmer=PROGRAMMER)


@pytest.mark.parametrize("label", ["NODE_H743ZI", "NOD_H743ZI"])
def test_the_drive_is_the_last_resort(
    label: str, nothing_installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = nothing_installed / label
    drive.mkdir(parents=True)
    flash(build(tmp_path / "build"))
    assert (drive / "firmware.bin").read_bytes() == b"\1\2\3"
    assert "nobody verified" in capsys.readouterr().out


def test_what_the_drive_says_is_of_this_try(
    nothing_installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAIL.TXT that comes after the copy is this copy's; one that lay there before would be taken for it."""
    drive = nothing_installed / "NODE_H743ZI"
    drive.mkdir(parents=True)
    on_the_drive: list[int] = []

    def refusing(descriptor: int) -> None:
        """The copy is on the drive; the ST-LINK does not like it."""
        on_the_drive.append(os.fstat(descriptor).st_size)
        (drive / "FAIL.TXT").write_text("The interface firmware FAILED to reset/halt the target MCU\n")

    folder = build(tmp_path / "build")
    monkeypatch.setattr(os, "fsync", refusing)
    with pytest.raises(CheckFailed, match=r"did not take the firmware: .*FAILED to reset"):
        flash(folder, programmer="drive")
    assert on_the_drive == [3]
    (drive / "firmware.bin").unlink()
    with pytest.raises(CheckFailed, match=r"an earlier try that failed: .*FAILED to reset"):
        flash(folder, programmer="drive")
    assert not (drive / "firmware.bin").exists()


@pytest.mark.usefixtures("nothing_installed")
def test_nothing_to_write_with_says_what_to_install(tmp_path: Path) -> None:
    for wanted in (None, "drive"):
        with pytest.raises(DftError, match="drive") as e:
            flash(build(tmp_path / f"build-{wanted}"), programmer=wanted)
        assert e.value.exit_code == 2
        assert all(
            t in e.value.hint for t in ("STM32CubeProgrammer", "openocd", "stlink-tools", "NODE_H743ZI")
        )


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
