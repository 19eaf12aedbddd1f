"""From a bundle to results: build, flash, selftest, fault, bench, report, compare, engines, detect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dftiny.commands.group import ANY_PATH, FOLDER, RUNS, cli, data_option, examples, out_option


@cli.command(
    epilog=examples(
        "dftiny build --board nucleo_h743zi",
        "dftiny build my-bundle --board host --sanitize",
        "dftiny build --board mps2_an500 --engine tflm --tflm-root ~/tflite-micro",
    )
)
@click.argument("bundle", type=FOLDER, required=False)
@click.option("--board", default="nucleo_h743zi", show_default=True, help="Board (dftiny boards).")
@click.option("--out", type=FOLDER, help="Folder to write.  [default: dftiny-runs/build/BOARD]")
@click.option(
    "--engine",
    type=click.Choice(["aot", "tflm", "echo"]),
    default="aot",
    show_default=True,
    help="What answers: the model's generated code, TensorFlow Lite Micro, or an echo.",
)
@click.option(
    "--paired-loads",
    is_flag=True,
    help="The other variant of the convolutions: more instructions, by a model of the core fewer cycles.",
)
@click.option("--sanitize", is_flag=True, help="Host board: with address and undefined-behaviour sanitizers.")
@click.option(
    "--tflm-root",
    type=FOLDER,
    envvar="TFLM_ROOT",
    help="For the tflm engine: a checkout of tflite-micro, built for cortex-m7+fp.  [default: $TFLM_ROOT]",
)
@click.option(
    "--tflm-library",
    type=ANY_PATH,
    envvar="TFLM_LIBRARY",
    help="Its libtensorflow-microlite.a, where several were built.  [default: $TFLM_LIBRARY]",
)
@click.pass_obj
def build(
    obj: dict[str, bool],
    /,
    *,
    bundle: Path | None,
    out: Path | None,
    board: str,
    engine: str,
    tflm_root: Path | None,
    tflm_library: Path | None,
    **options: Any,
) -> None:
    """Build the firmware.

    Leaves .elf .bin .hex .map and the bytes used in every region. BUNDLE is dftiny-runs/bundle when not
    given; the echo engine, for tests of the link, needs none.
    """
    from dftiny.build import Tflm
    from dftiny.build import build as run

    if bundle is None and engine != "echo":
        bundle = RUNS / "bundle"
    tflm = Tflm(tflm_root, tflm_library) if tflm_root and engine == "tflm" else None
    out = out or RUNS / "build" / (board if engine != "tflm" else f"{board}.tflm")
    run(bundle, board, out, engine=engine, debug=obj["debug"], tflm=tflm, **options)


@cli.command(epilog=examples("dftiny flash", "dftiny flash my-build --serial-number 0667FF…"))
@click.argument("build_dir", metavar="[BUILD]", type=FOLDER, default=RUNS / "build" / "nucleo_h743zi")
@click.option("--serial-number", help="Serial number of the ST-LINK, where several are connected.")
@click.option(
    "--programmer",
    type=click.Choice(["STM32_Programmer_CLI", "openocd", "st-flash", "pyocd", "drive"]),
    help="Use this one instead of the first that is installed; drive: copy onto the ST-LINK's drive.",
)
def flash(**options: Any) -> None:
    """Write the firmware to the board.

    Write, verify, reset, with STM32_Programmer_CLI, openocd, st-flash or pyocd; where none is installed, by copying it
    onto the drive of the board's ST-LINK.
    """
    from dftiny.flash import flash as run

    run(**options)


def _one_board(command: Any) -> Any:
    """The options of commands that ask one board about itself."""
    for option in (
        click.option(
            "--baud", type=click.IntRange(1), help="Baud rate of a serial port (default: the board's)."
        ),
        click.option(
            "--build", "build_dir", type=FOLDER, help="Build folder of that board: its ELF, its image."
        ),
        click.option(
            "--board",
            type=click.Choice(["host", "mps2_an500"]),
            help="Start this board here instead of using a port.",
        ),
        click.option("--port", help="Serial port or socket:// of a running board."),
    ):
        command = option(command)
    return command


@cli.command(
    epilog=examples(
        "dftiny selftest --port /dev/ttyACM0",
        "dftiny selftest --port /dev/ttyACM0 --build my-build",
        "dftiny selftest --board mps2_an500",
    )
)
@_one_board
def selftest(**options: Any) -> None:
    """Let a board prove itself.

    Clocks, caches, counter, memory, flash, kernels: the first command for a new board.
    """
    from dftiny.selftest import selftest_command

    selftest_command(runs=RUNS, **options)


@cli.command(epilog=examples("dftiny fault --port /dev/ttyACM0 --build dftiny-runs/build/nucleo_h743zi"))
@_one_board
def fault(**options: Any) -> None:
    """Show a board's last fault.

    Registers, reason, and file and line where the build is given.
    """
    from dftiny.selftest import fault_command

    fault_command(runs=RUNS, **options)


@cli.command(
    epilog=examples(
        "dftiny bench --port /dev/ttyACM0",
        "dftiny bench --port /dev/ttyACM0 --data dftiny-runs/data --limit 20",
        "dftiny bench --port /dev/ttyACM0 --golden --share my-board.json",
        "dftiny bench --board mps2_an500 --jobs 2",
        "dftiny bench --board host --golden --flag --drop=0.0005 --flag --flip=0.0005",
    )
)
@out_option(RUNS / "bench")
@click.option("--bundle", type=FOLDER, default=RUNS / "bundle", show_default=True, help="Bundle folder.")
@click.option("--port", help="Serial port or socket:// of a running board.")
@click.option(
    "--board",
    type=click.Choice(["host", "mps2_an500"]),
    help="Start this board here instead of using a port.",
)
@click.option(
    "--build",
    "build_dir",
    type=FOLDER,
    help="Build folder of that board.  [default: dftiny-runs/build/BOARD]",
)
@click.option(
    "--channel",
    type=click.Choice(["fifo", "uart"]),
    default="fifo",
    show_default=True,
    help="Channel to the emulated board.",
)
@click.option(
    "--flag",
    "flags",
    multiple=True,
    help="Passed to the host board: --drop=P --flip=P --stall=MS --reset-at=N.",
)
@click.option(
    "--baud",
    metavar="N|auto",
    help="Baud rate of a serial port (default: the board's); auto tries faster ones.",
)
@click.option("--resume", is_flag=True, help="Go on with the results of a run that was stopped or killed.")
@click.option(
    "--data",
    type=FOLDER,
    help="Data folder (its test split before sharing), or a folder with one subfolder of images a class.  [default: dftiny-runs/data, else golden tiles]",
)
@click.option("--golden", is_flag=True, help="The model's golden tiles instead of images.")
@click.option("--limit", type=click.IntRange(1), help="At most so many images.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Boards started side by side."
)
@click.option("--trace", is_flag=True, help="Print every frame.")
@click.option(
    "--share",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all that we would like to know about a new board into this file, for you to send.",
)
def bench(share: Path | None, **options: Any) -> None:
    """Run test images on a board.

    Every result is compared with the int8 oracle, bit for bit.
    """
    from dftiny.bench import bench_command

    if share is None:
        bench_command(runs=RUNS, **options)
        return
    from dftiny.share import shared

    shared(lambda: bench_command(runs=RUNS, **options), share, runs=RUNS, **options)


@cli.command(epilog=examples("dftiny report", "dftiny report my-bench --out page.html"))
@click.argument("bench_dir", metavar="[BENCH]", type=FOLDER, default=RUNS / "bench")
@click.option("--out", type=ANY_PATH, help="HTML file to write.  [default: BENCH/report.html]")
@click.option("--compare", type=FOLDER, help="Folder of dftiny compare, to show all stages side by side.")
def report(**options: Any) -> None:
    """Write the HTML page.

    ROC, confusion matrix, operators, tile maps; one file that loads nothing.
    """
    from dftiny.report import report as run

    run(**options)


@cli.command(epilog=examples("dftiny compare --bench dftiny-runs/bench"))
@out_option(RUNS / "compare")
@data_option()
@click.option(
    "--evaluate",
    "evaluate_dir",
    type=FOLDER,
    default=RUNS / "evaluate",
    show_default=True,
    help="Float logits.",
)
@click.option("--bundle", type=FOLDER, default=RUNS / "bundle", show_default=True, help="Bundle folder.")
@click.option("--bench", "bench_dirs", type=FOLDER, multiple=True, help="Bench folders to put beside them.")
def compare(**options: Any) -> None:
    """Put all stages side by side.

    Float, ONNX, int8, TFLM and boards on the same tiles; fails when int8 bits differ.
    """
    from dftiny.compare import compare as run

    run(**options)


@cli.command(epilog=examples("dftiny engines dftiny-runs/bench dftiny-runs/bench-tflm"))
@click.argument("folders", metavar="BENCH...", type=FOLDER, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def engines(folders: tuple[Path, ...], as_json: bool) -> None:
    """Put engines side by side.

    The same bundle on the same board: bits, instructions or cycles, RAM and flash, from folders of dftiny bench.
    """
    from dftiny.engines import engines_command

    engines_command(folders, as_json=as_json)


@cli.command(
    epilog=examples(
        "dftiny detect photo.jpg",
        "dftiny detect photo.jpg --map map.png",
        "dftiny detect *.png --map maps --json",
        "dftiny detect photo.png --port /dev/ttyACM0",
    )
)
@click.argument("photos", metavar="PHOTO...", type=ANY_PATH, nargs=-1, required=True)
@click.option("--map", "map_path", type=ANY_PATH, help="PNG to write; a folder for several photographs.")
@click.option(
    "--model", type=FOLDER, help="A model with a verdict: released, or a bundle.  [default: the released one]"
)
@click.option("--port", help="Serial port or socket:// of a running board, instead of this computer.")
@click.option("--board", type=click.Choice(["host", "mps2_an500"]), help="Start this board here instead.")
@click.option("--build", "build_dir", type=FOLDER, help="Build folder of that board.")
@click.option("--baud", type=click.IntRange(1), help="Baud rate of a serial port (default: the board's).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def detect(**options: Any) -> None:
    """Real, fake or undecided?

    Judges photographs by the released model, which was trained on SIMULATED fakes: to see how it works, not to judge.
    """
    from dftiny.detect import detect_command

    detect_command(runs=RUNS, **options)
