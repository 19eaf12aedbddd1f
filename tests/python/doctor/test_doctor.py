"""doctor: exit codes, what is missing, what to do; and the boards' table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dftiny import doctor as doctor_module
from dftiny import spec
from dftiny.boards import boards_table
from dftiny.doctor import doctor, findings
from dftiny.errors import DftError


def found(what: str) -> doctor_module.Finding:
    return next(f for f in findings() if f.what == what)


def test_a_working_install_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor() == 0
    said = capsys.readouterr().out
    assert "base packages" in said
    assert "broken" not in said


def test_a_missing_base_package_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_module, "BASE", ("numpy", "no-such-package"))
    assert doctor() == 1
    assert "without no-such-package" in capsys.readouterr().out


def test_a_missing_firmware_tree_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise DftError("the firmware tree was not found", "install dftiny again")

    monkeypatch.setattr(spec, "firmware_dir", gone)
    assert found("firmware tree").state == "broken"
    assert doctor() == 1


def test_missing_tools_and_extras_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor_module, "EXTRAS", (("no-such-extra", "export", "export"),))
    assert found("qemu-system-arm").todo == "sudo apt install qemu-system-arm"
    assert found("arm-none-eabi-gcc").state == "missing"
    assert found("no-such-extra").todo == "pip install 'dftiny[export]'"
    assert doctor() == 0


def test_brackets_survive_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_module, "EXTRAS", (("no-such-extra", "export", "export"),))
    monkeypatch.setenv("COLUMNS", "200")
    doctor()
    assert "pip install 'dftiny[export]'" in capsys.readouterr().out


def test_ports_and_their_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyACM0"
    port.touch()
    monkeypatch.setattr(doctor_module, "ports_found", lambda: [(str(port), "STLINK-V3")])
    assert found(str(port)).detail == f"STLINK-V3; try: dftiny bench --port {port}"
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything, so the answer is made up
    refused = found(str(port))
    assert refused.state == "missing"
    assert "sudo usermod -aG" in refused.todo
    monkeypatch.setattr(doctor_module, "ports_found", list)
    assert "plug the board in" in found("serial port").todo


def test_the_table_of_boards_shows_what_each_may_claim() -> None:
    lines = boards_table().splitlines()
    assert len(lines) == 1 + len(spec.names("boards"))
    qemu = next(line for line in lines if line.startswith("mps2_an500"))
    assert "instructions" in qemu
    assert "cycles" not in qemu
    nucleo = next(line for line in lines if line.startswith("nucleo_h743zi"))
    assert "never run there" in nucleo
    assert "921600 baud" in nucleo
