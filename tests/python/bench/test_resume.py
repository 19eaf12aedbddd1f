"""A bench that was killed or stopped goes on where it was, and ends in the same report."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny.artifact import read_json
from dftiny.bench import bench
from dftiny.bench.journal import ASKED, RESULTS, partial_of
from dftiny.bench.run import Boards, local_boards
from dftiny.errors import CheckFailed, DftError

Built = Callable[..., Path]
KILLS = 3
TILES = 32


@pytest.fixture(scope="module")
def clean(built: Built, bundle: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("clean") / "out"
    bench(local_boards("host", bundle, built("host")), bundle, out, data=data)
    return out


def assert_same_report(out: Path, clean: Path) -> None:
    assert (out / "tiles.jsonl").read_bytes() == (clean / "tiles.jsonl").read_bytes()
    ours, theirs = read_json(out / "bench.json"), read_json(clean / "bench.json")
    for report in (ours, theirs):
        del report["link"]  # this run's traffic and seconds
    assert ours == theirs
    assert not partial_of(out).exists()


def slow(built: Built, bundle: Path, us: int = 2000) -> Boards:
    return local_boards("host", bundle, built("host"), flags=[f"--slow={us}"])


def command(built: Built, bundle: Path, data: Path, out: Path) -> list[str]:
    base = [
        sys.executable,
        "-c",
        "from dftiny.cli import main; main()",
        "bench",
        "--board",
        "host",
        "--flag",
        "--slow=1500",
    ]
    return [
        *base,
        *("--build", str(built("host")), "--bundle", str(bundle), "--data", str(data), "--out", str(out)),
    ]


def test_killed_at_random_moments(
    built: Built, bundle: Path, data: Path, clean: Path, tmp_path: Path
) -> None:
    """kill -9, again and again: results that were there stay, and the end is the same to the byte."""
    out, rng, seen = tmp_path / "out", random.Random(6), [0]
    argv = command(built, bundle, data, out)
    for _ in range(KILLS):
        running = subprocess.Popen([*argv, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted, end = seen[-1] + rng.randrange(1, 6), time.monotonic() + 60
        while count(out) < wanted and running.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        seen.append(count(out))
    assert seen == sorted(seen)
    end = time.monotonic() + 20
    while boards_of(built("host")) and time.monotonic() < end:
        time.sleep(0.05)
    assert not boards_of(built("host"))  # none outlives the host that was killed
    assert 0 < seen[1] < TILES
    assert not out.exists()
    subprocess.run([*argv, "--resume"], check=True, stdout=subprocess.DEVNULL, timeout=120)
    assert_same_report(out, clean)


def boards_of(build: Path) -> list[str]:
    """Processes of this build's firmware."""
    found = []
    for proc in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if proc.name.isdecimal() and Path(os.readlink(proc / "exe")) == build / "firmware.elf":
                found.append(proc.name)
    return found


def count(out: Path) -> int:
    path = partial_of(out) / RESULTS
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_stopped_by_ctrl_c_and_resumed(
    built: Built, bundle: Path, data: Path, clean: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def interrupt_once(line: str) -> None:
        if "run_reply" in line and count(out) > 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(CheckFailed, match=r"stopped by Ctrl-C .*--resume goes on"):
        bench(slow(built, bundle), bundle, out, data=data, trace=interrupt_once)
    assert read_json(out / "bench.json")["complete"] is False
    before = count(out)
    assert 5 < before < TILES
    result = bench(local_boards("host", bundle, built("host")), bundle, out, data=data, resume=True)
    assert result.summary["link"]["input_bytes"] == (TILES - before) * result.summary["link"]["tile_bytes"]
    assert_same_report(out, clean)


def journal_of(built: Built, bundle: Path, data: Path, out: Path) -> Path:
    """The journal of a run whose board was lost midway."""

    def lose(line: str) -> None:
        if "run_reply" in line and count(out) > 8:
            raise CheckFailed("the board went away")

    with pytest.raises(CheckFailed, match="went away"):
        bench(slow(built, bundle), bundle, out, data=data, trace=lose)
    return partial_of(out) / RESULTS


def test_a_line_that_was_cut_is_run_again(
    built: Built, bundle: Path, data: Path, clean: Path, tmp_path: Path
) -> None:
    path = journal_of(built, bundle, data, tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-9])
    bench(local_boards("host", bundle, built("host")), bundle, tmp_path / "out", data=data, resume=True)
    assert_same_report(tmp_path / "out", clean)


def test_only_the_same_images_are_gone_on_with(
    built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    path = journal_of(built, bundle, data, tmp_path / "out")
    boards = local_boards("host", bundle, built("host"))
    with pytest.raises(DftError, match="another model or other images"):
        bench(boards, bundle, tmp_path / "out", data=data, limit=2, resume=True)
    path.write_bytes(b'{"id":"nobody","tile":0,"output":[1],"ticks":0}\n')
    with pytest.raises(DftError, match="is damaged"):
        bench(boards, bundle, tmp_path / "out", data=data, resume=True)
    (partial_of(tmp_path / "out") / ASKED).unlink()
    with pytest.raises(DftError, match="not a journal"):
        bench(boards, bundle, tmp_path / "out", data=data)
