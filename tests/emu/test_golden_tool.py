"""tools/renode/golden, which the Renode job runs: tried here on QEMU's UART, which is a socket as well."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny.bundle import Bundle

pytestmark = pytest.mark.emu

TOOL = Path(__file__).resolve().parents[2] / "tools" / "renode" / "golden"


def test_golden_tiles_over_a_socket(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "qemu-system-arm",
        "-M",
        "mps2-an500",
        "-icount",
        "shift=0",
        "-display",
        "none",
        "-monitor",
        "none",
    ]
    command += ["-semihosting-config", "enable=on,target=native,arg=dftiny"]
    command += ["-serial", f"tcp:127.0.0.1:{port},server=on,wait=on", "-kernel", str(aot_elf("mps2_an500"))]
    with subprocess.Popen(command) as qemu:
        try:
            for _ in range(20):  # until QEMU listens
                done = subprocess.run(
                    [sys.executable, TOOL, bundle.folder, "--port", f"socket://127.0.0.1:{port}"],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                if done.returncode != 2:
                    break
        finally:
            qemu.terminate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal") == 4


def test_a_port_that_is_not_there(bundle: Bundle) -> None:
    done = subprocess.run(
        [sys.executable, TOOL, bundle.folder, "--port", "/dev/ttyNOTHERE"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
