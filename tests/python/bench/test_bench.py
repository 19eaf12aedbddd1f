"""bench against real boards on this computer: the host process with every fault, QEMU over both channels."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from dftiny import spec
from dftiny.artifact import read_json, read_manifest
from dftiny.bench import bench, bench_command
from dftiny.bench.images import _limited
from dftiny.bench.run import local_boards, port_boards
from dftiny.bench.view import duration, summary_text
from dftiny.data.index import load_index
from dftiny.errors import CheckFailed, DftError
from dftiny.link.boards import host_board

Built = Callable[..., Path]

FAULTS = {
    "drop": ["--drop=0.0005"],
    "flip": ["--flip=0.0005"],
    "stall": ["--stall=30:0.0001"],
    "reset": ["--reset-at=6000,20000,50000,90000"],
    "all": ["--drop=0.0002", "--flip=0.0002", "--stall=20:0.00005", "--reset-at=30000,70000", "--seed=7"],
}


def host(built: Built, bundle: Path, *flags: str, jobs: int = 1, engine: str = "aot"):
    return local_boards("host", bundle, built("host", engine), flags=flags, jobs=jobs)


@pytest.fixture(scope="session")
def clean(built: Built, bundle: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean") / "bench"
    bench(host(built, bundle), bundle, out, data=data)
    return out


def test_a_whole_run(clean: Path, bundle: Path, data: Path) -> None:
    summary = read_json(clean / "bench.json")
    jsonschema.validate(summary, dict(spec.schema("bench")))
    assert summary["complete"] is True
    assert summary["oracle"] == {"tiles": 32, "identical": 32, "different": []}
    assert [i["id"] for i in summary["images"]] == [r.id for r in load_index(data).images]
    found = summary["metrics"]["pre"]["all"]
    assert found["confusion"] == {"tp": 3, "fn": 1, "fp": 1, "tn": 3}
    assert (found["accuracy"], found["f1"]) == (0.75, 0.75)
    assert 0 < found["auc"] < 1
    manifest = read_manifest(clean, "bench")
    assert manifest.parents == {
        "bundle": read_manifest(bundle).digest,
        "data": read_manifest(data).digest,
    }
    assert {m["why"] for m in summary["maps"]} == {"the surest real", "the surest fake", "the worst mistake"}
    assert (clean / summary["maps"][0]["file"]).stat().st_size > 500


def test_a_process_of_this_computer_claims_neither_time_nor_instructions(clean: Path) -> None:
    summary = read_json(clean / "bench.json")
    assert not {"instructions", "cycles"} & set(summary)
    assert summary["board"]["claims"] == []
    assert all(not {"instructions", "cycles"} & set(op) for op in summary["ops"])
    lines = (clean / "tiles.jsonl").read_text().splitlines()
    assert len(lines) == 32
    assert all(set(json.loads(line)) == {"id", "tile", "output"} for line in lines)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_change_nothing(
    fault: str, clean: Path, built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    result = bench(host(built, bundle, *FAULTS[fault]), bundle, tmp_path / "out", data=data)
    assert (tmp_path / "out" / "tiles.jsonl").read_bytes() == (clean / "tiles.jsonl").read_bytes()
    before = read_json(clean / "bench.json")
    assert result.summary["images"] == before["images"]
    assert result.summary["metrics"] == before["metrics"]
    link = result.summary["link"]
    if fault in ("drop", "flip", "all"):
        assert link["retries"] > 3
    if fault in ("reset", "all"):
        assert link["resets"] >= 1  # a reset costs a tile's retry, and is noticed
        assert link["reset_causes"] == {"software": link["resets"]}


def test_unplugged_midway(built: Built, bundle: Path, data: Path, tmp_path: Path) -> None:
    """The board's process dies after some images: one sentence, exit 1, what came before is kept and valid."""
    elf = built("host") / "firmware.elf"
    boards = local_boards("host", bundle, built("host"))
    with host_board(elf, ["--stall=1:0.002"]) as link:
        path = link.name
        link.close()
        pid = _child_with(elf)
        results: set[str] = set()

        def kill_after_some(line: str) -> None:
            if "run_reply" in line and "status=0 " in line and len(results) < 9:
                results.add(line.split("run_id=")[1].split(maxsplit=1)[0])  # a result may be asked for twice
                if len(results) == 9:
                    os.kill(pid, signal.SIGKILL)

        boards = port_boards(f"pty:{path}", bundle)
        with pytest.raises(
            CheckFailed, match=r"is gone \(.*after 2 of 8 images; partial results are in"
        ) as e:
            bench(boards, bundle, tmp_path / "out", data=data, trace=kill_after_some)
    assert e.value.exit_code == 1
    summary = read_json(tmp_path / "out" / "bench.json")
    jsonschema.validate(summary, dict(spec.schema("bench")))
    read_manifest(tmp_path / "out", "bench")
    assert summary["complete"] is False
    assert "is gone" in summary["stopped"]
    assert len(summary["images"]) == 2
    assert summary["oracle"]["tiles"] == summary["oracle"]["identical"] == 9
    assert len((tmp_path / "out" / "tiles.jsonl").read_text().splitlines()) == 9


def _child_with(elf: Path) -> int:
    for proc in Path("/proc").iterdir():
        if proc.name.isdecimal():
            try:
                if Path(os.readlink(proc / "exe")) == elf.resolve():
                    return int(proc.name)
            except OSError:
                continue
    raise AssertionError("the board's process was not found")


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_ctrl_c_keeps_what_there_is(
    number: int, built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dftiny.bench import bench\nfrom dftiny.bench.run import local_boards\n"
        "from dftiny.errors import CheckFailed\n"
        "b, build, data, out = map(Path, sys.argv[1:])\n"
        "try:\n bench(local_boards('host', b, build, flags=['--stall=20:0.001']), b, out, data=data)\n"
        "except CheckFailed as e:\n print(e); sys.exit(e.exit_code)\n"
    )
    out = tmp_path / "out"
    argv = [sys.executable, "-c", code, str(bundle), str(built("host")), str(data), str(out)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()  # the estimate comes after the first tile
        assert "in all" in line
        process.send_signal(number)
        text, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "stopped by Ctrl-C after" in text
    assert "partial results are in" in text
    summary = read_json(out / "bench.json")
    assert summary["complete"] is False
    assert summary["oracle"]["tiles"] == summary["oracle"]["identical"] >= 1


def test_bits_that_differ_fail_after_everything_was_written(
    built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    """The echo engine answers with the same digest but other outputs: the comparison must see it."""
    with pytest.raises(CheckFailed, match=r"of 32 tiles differ from the int8 oracle, first image p0") as e:
        bench(host(built, bundle, engine="echo"), bundle, tmp_path / "out", data=data)
    assert e.value.exit_code == 1
    summary = read_json(tmp_path / "out" / "bench.json")
    assert summary["complete"] is True
    assert summary["oracle"]["identical"] < 32
    first = summary["oracle"]["different"][0]
    lines = [json.loads(line) for line in (tmp_path / "out" / "tiles.jsonl").read_text().splitlines()]
    assert first in [{k: v for k, v in line.items() if k != "ticks"} for line in lines]


def test_two_boards_side_by_side_give_the_same_file(
    clean: Path, built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    result = bench(host(built, bundle, jobs=2), bundle, tmp_path / "out", data=data)
    assert result.summary["link"]["boards"] == 2
    assert (tmp_path / "out" / "tiles.jsonl").read_bytes() == (clean / "tiles.jsonl").read_bytes()


def test_another_model_is_refused_before_anything_is_written(bundle: Path, tmp_path: Path) -> None:
    from dftiny.build import build

    build(None, "host", tmp_path / "other", engine="echo")
    boards = local_boards("host", bundle, tmp_path / "other")
    with pytest.raises(DftError, match="runs another model") as e:
        bench(boards, bundle, tmp_path / "out")
    assert e.value.exit_code == 2
    assert "dftiny build" in e.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.emu
@pytest.mark.slow
def test_qemu_claims_instructions_and_is_exact_twice(
    clean: Path, built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    boards = local_boards("mps2_an500", bundle, built("mps2_an500"), jobs=2)
    first = bench(boards, bundle, tmp_path / "a", data=data, limit=2).summary
    again = bench(boards, bundle, tmp_path / "b", data=data, limit=2).summary
    whole = {json.loads(line)["id"]: 0 for line in (clean / "tiles.jsonl").read_text().splitlines()}
    assert {i["id"] for i in first["images"]} < set(whole)
    assert [i["logit"] for i in first["images"]] == [i["logit"] for i in again["images"]]
    assert "cycles" not in first
    assert first["instructions"]["granularity"] == 40
    mean = first["instructions"]["per_tile"]["mean"]
    assert abs(mean - again["instructions"]["per_tile"]["mean"]) <= 40
    assert 1 < first["instructions"]["per_mac"] < 1000
    counted = [op["instructions"] for op in first["ops"]]
    # Every tick lies in an operator, but for entry and exit: the table must add up to the whole.
    assert sum(counted) == pytest.approx(mean, rel=0.05)
    assert first["memory"]["stack_peak_bytes"] < first["memory"]["stack_bytes"]
    assert all(
        "ticks" in json.loads(line) for line in (tmp_path / "a" / "tiles.jsonl").read_text().splitlines()
    )


@pytest.mark.emu
def test_qemu_uart_with_golden_tiles(built: Built, bundle: Path, tmp_path: Path) -> None:
    boards = local_boards("mps2_an500", bundle, built("mps2_an500"), channel="uart")
    result = bench(boards, bundle, tmp_path / "out", limit=2)
    assert result.summary["oracle"] == {"tiles": 2, "identical": 2, "different": []}
    assert result.summary["data"]["name"] == "golden tiles"
    assert result.summary["metrics"] == {}


@pytest.mark.emu
def test_a_killed_qemu_is_one_sentence(built: Built, bundle: Path, tmp_path: Path) -> None:
    boards = local_boards("mps2_an500", bundle, built("mps2_an500"))
    elf = built("mps2_an500") / "firmware.elf"

    def kill(_line: str) -> None:
        for proc in Path("/proc").iterdir():
            if proc.name.isdecimal() and str(elf).encode() in _cmdline(proc):
                os.kill(int(proc.name), signal.SIGKILL)

    with pytest.raises(CheckFailed, match=r"QEMU ended by signal 9") as e:
        bench(
            boards, bundle, tmp_path / "out", trace=lambda line: kill(line) if "run_reply" in line else None
        )
    assert e.value.exit_code == 1


def _cmdline(proc: Path) -> bytes:
    try:
        return (proc / "cmdline").read_bytes()
    except OSError:
        return b""


def test_over_a_socket(built: Built, bundle: Path, data: Path, tmp_path: Path) -> None:
    """`--port socket://`, through a bridge to the host board as ser2net would make it."""
    import socket

    with (
        host_board(built("host") / "firmware.elf") as board,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        ended = threading.Event()

        def bridge() -> None:
            client, _ = server.accept()
            client.setblocking(False)
            # The host hangs up when it has all it wanted; what the board says then reaches nobody.
            with client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while not ended.is_set():
                    if data_out := board.read(0.001):
                        client.sendall(data_out)
                    try:
                        board.write(client.recv(4096), 5)
                    except BlockingIOError:
                        time.sleep(0)

        thread = threading.Thread(target=bridge)
        thread.start()
        try:
            port = f"socket://127.0.0.1:{server.getsockname()[1]}"
            result = bench(port_boards(port, bundle), bundle, tmp_path / "out", data=data, limit=4)
        finally:
            ended.set()
            thread.join()
    assert result.identical
    assert len(result.summary["images"]) == 4


def test_through_pyserial(built: Built, bundle: Path, tmp_path: Path) -> None:
    """`--port /dev/pts/N` goes the way that /dev/ttyACM0 goes."""
    with host_board(built("host") / "firmware.elf") as link:
        link.close()
        result = bench(port_boards(link.name, bundle), bundle, tmp_path / "out")
    assert result.identical


def test_a_board_that_something_restarted_is_pointed_out(clean: Path) -> None:
    summary = read_json(clean / "bench.json")
    assert "attention" not in summary_text(summary)
    causes = spec.protocol()["reset_cause"]
    summary["board"]["reset_cause"] = causes["fault"]
    summary["link"]["reset_causes"] = {"software": 1, "watchdog": 2}
    jsonschema.validate(summary, dict(spec.schema("bench")))
    said = summary_text(summary)
    assert "the board was started by a fault: dftiny fault" in said
    assert "was restarted in this run by its watchdog: dftiny fault" in said
    summary["board"]["reset_cause"], summary["link"]["reset_causes"] = causes["pin"], {"software": 1}
    assert "attention" not in summary_text(summary)


def test_limit_takes_both_labels_and_spreads(data: Path) -> None:
    rows = load_index(data).images
    picked = _limited(rows, 4)
    assert sorted(r.label for r in picked) == ["fake", "fake", "real", "real"]
    assert [r.id for r in picked] == [r.id for r in rows if r in picked]
    assert len(_limited(rows, 1)) == 1
    assert _limited(rows, 100) == list(rows)


def test_wrong_use_is_one_sentence(bundle: Path, built: Built, data: Path, tmp_path: Path) -> None:
    def run(**options) -> DftError:
        with pytest.raises(DftError) as e:
            bench_command(**{"runs": tmp_path, "bundle": bundle, "out": tmp_path / "out", **options})
        assert e.value.exit_code == 2
        return e.value

    assert "needs a board" in run().cause
    assert "needs a board" in run(port="x", board="host").cause
    assert "no firmware for host" in run(board="host").cause
    build = built("mps2_an500")
    assert "is for the host board" in run(board="mps2_an500", build_dir=build, flags=["--drop=1"]).cause
    bad = run(board="host", build_dir=built("host"), flags=["--nonsense"])
    assert "code 2" in bad.cause
    assert "no port /dev/ttyNOPE" in run(port="/dev/ttyNOPE").cause
    assert "exclude each other" in run(board="host", build_dir=built("host"), golden=True, data=data).cause
    assert "is not a data folder" in run(board="host", build_dir=built("host"), data=tmp_path).cause
    assert "has no manifest" in run(board="host", build_dir=built("host"), bundle=tmp_path).cause
    assert not (tmp_path / "out").exists()


def test_bench_imports_neither_torch_nor_tensorflow(
    built: Built, bundle: Path, data: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dftiny.bench import bench_command\n"
        "from dftiny.report import report\n"
        "r, b, build, data = map(Path, sys.argv[1:])\n"
        "bench_command(runs=r, bundle=b, out=r / 'out', board='host', build_dir=build, data=data, limit=2)\n"
        "report(r / 'out')\n"
        "print([m for m in ('torch', 'tensorflow', 'onnx') if m in sys.modules])\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path), str(bundle), str(built("host")), str(data)]
    run = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.splitlines()[-1] == "[]"


def test_more_than_two_classes(three_classes: tuple[Path, Path], data: Path, tmp_path: Path) -> None:
    bundle, folder = three_classes
    summary = bench(local_boards("host", bundle, folder), bundle, tmp_path / "out").summary
    assert [i["said"] for i in summary["images"]] == ["red", "green", "blue", "red"]
    assert len(summary["images"][0]["logits"]) == 3
    assert summary["oracle"]["identical"] == 4
    assert summary["metrics"] == {}
    # Labels that the model does not know give results, but no metrics that would mean nothing.
    summary = bench(local_boards("host", bundle, folder), bundle, tmp_path / "b", data=data, limit=2).summary
    assert summary["metrics"] == {}
    assert summary["oracle"]["identical"] == summary["oracle"]["tiles"] == 2 * 256


def test_images_by_class_get_the_metrics_that_fit(three_classes: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, folder = three_classes
    colours = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
    for name, colour in colours.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (16, 8), colour).save(tmp_path / "images" / name / f"{i}.png")
    # One picture lies in the wrong folder: five of six are right.
    Image.new("RGB", (16, 8), colours["red"]).save(tmp_path / "images" / "blue" / "1.png")
    boards = local_boards("host", bundle, folder)
    summary = bench(boards, bundle, tmp_path / "out", data=tmp_path / "images").summary
    assert summary["metrics"]["classes"]["accuracy"] == pytest.approx(5 / 6)
    assert summary["oracle"]["identical"] == summary["oracle"]["tiles"] == 12
    assert summary["data"]["simulated"] is False
    limited = bench(boards, bundle, tmp_path / "few", data=tmp_path / "images", limit=3).summary
    assert [i["label"] for i in limited["images"]] == ["red", "green", "blue"]


def test_class_folders_without_images_are_refused(three_classes: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, folder = three_classes
    (tmp_path / "images" / "red").mkdir(parents=True)
    with pytest.raises(DftError, match="no images in its folders red, green, blue"):
        bench(local_boards("host", bundle, folder), bundle, tmp_path / "out", data=tmp_path / "images")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "under a second"), (12.0, "about 12 s"), (200.0, "about 3 min 20 s"), (7500.0, "about 2 h 5 min")],
)
def test_a_duration_is_said_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
