"""The command line: one subcommand a stage, no logic. Every heavy import happens inside a command.

Exit codes: 0 fine; 1 a check failed or a run could not finish; 2 wrong use or bad input.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from dftiny import __version__
from dftiny.diagnose import CHOICES, Choice, Cures
from dftiny.errors import DftError

RUNS = Path("dftiny-runs")
# Which extra brings a package, where the base install has to do without it.
EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxsim": "export",
    "onnx2tf": "export",
    "tensorflow": "export",
    "tflite_micro": "export",
}
FOLDER = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _plan_options(command: Any) -> Any:
    """What the planner may be asked for, by every command that plans."""
    for option in (
        click.option(
            "--activations",
            "limit_bytes",
            type=click.IntRange(1),
            help="Activations must not take more bytes; maps are computed twice where that helps.",
        ),
        click.option(
            "--input-by-rows", is_flag=True, help="The caller hands the input over row by row (as a library)."
        ),
        click.option("--without", multiple=True, metavar="REWRITE", help="Leave an exact rewrite out."),
    ):
        command = option(command)
    return command


def _wishes(limit_bytes: int | None, input_by_rows: bool, without: tuple[str, ...]) -> Any:
    from dftiny.plan import Wishes

    return Wishes(limit_bytes=limit_bytes, input_by_rows=input_by_rows, without=frozenset(without))


def _out(default: Path) -> Callable[..., Any]:
    return click.option("--out", type=FOLDER, default=default, show_default=True, help="Folder to write.")


def _data() -> Callable[..., Any]:
    return click.option("--data", type=FOLDER, default=RUNS / "data", show_default=True, help="Data folder.")


class _InStageOrder(click.Group):
    """Lists the commands in the order they are written here: the order of the stages."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InStageOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_examples(
        "dftiny export --budget stm32h743        the released model, as a bundle for the chip",
        "dftiny build --board nucleo_h743zi      its firmware: .elf .bin .hex",
        "dftiny flash                            onto the board, by STM32CubeProgrammer",
        "dftiny bench --port /dev/ttyACM0        its results, compared bit for bit with the oracle",
    ),
)
@click.version_option(__version__, prog_name="dftiny")
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Real-vs-fake image detectors on a microcontroller, every step proved before the next.

    Stages, in order: data, train, evaluate, export, budget, build, flash, bench, report.
    """
    ctx.obj = {"debug": debug}


@cli.command(
    epilog=_examples(
        "dftiny data", "dftiny data --photos ~/Pictures --out my-data", "dftiny data --strength weak"
    )
)
@_out(RUNS / "data")
@click.option("--photos", type=FOLDER, help="Folder of photographs instead of the Debian packages'.")
@click.option(
    "--strength",
    type=click.Choice(["strong", "weak"]),
    default="strong",
    show_default=True,
    help="Strength of the simulated traces.",
)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
def data(**options: Any) -> None:
    """Build the demo data.

    Photographs, simulated fakes, sharing profiles and controls; card.md says what it is and is not.
    """
    from dftiny.data.demo import build_demo

    build_demo(**options)


@cli.command(
    epilog=_examples(
        "dftiny train",
        "dftiny train --recipe my.toml --out my-net",
        "dftiny train --recipe phinet_demo_qat --start dftiny-runs/train --out my-qat    for int8, rounding included",
    )
)
@_out(RUNS / "train")
@_data()
@click.option("--recipe", default="phinet_demo", show_default=True, help="Name or .toml file of a recipe.")
@click.option("--start", type=ANY_PATH, help="Begin with this checkpoint's weights (a file or its folder).")
@click.option(
    "--weights", type=ANY_PATH, help="Begin with public weights: micromind's, MicroNet's, torchvision's."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights and batches.")
@click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Go on where the same run stopped."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Torch threads.")
def train(**options: Any) -> None:
    """Train a tile detector.

    By a recipe in TOML; resumable, deterministic by seed.
    """
    from dftiny.train.supervised import train as run

    run(**options)


@cli.command(epilog=_examples("dftiny evaluate", "dftiny evaluate my-net --data my-data --split val"))
@click.argument("checkpoint", type=ANY_PATH, default=RUNS / "train")
@_out(RUNS / "evaluate")
@_data()
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Part of the data to judge.",
)
@click.option("--sharing", "sharings", multiple=True, help="Only this sharing profile (may repeat).")
@click.option("--net", help="Net of a checkpoint that does not name its own (dftiny models).")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Torch threads.")
def evaluate(*, sharings: tuple[str, ...], **options: Any) -> None:
    """Score a checkpoint.

    Accuracy, F1 and AUC with intervals, by sharing profile, generator and control.
    """
    from dftiny.evaluate import evaluate as run

    run(sharings=sharings or None, **options)


@cli.command(
    epilog=_examples(
        "dftiny export --budget stm32h743                       the released model",
        "dftiny export dftiny-runs/train --budget stm32h743     a trained checkpoint",
        "dftiny export net.onnx --calibration tiles/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --layout nchw",
        "dftiny export net.tflite                               int8 already: taken as it is",
        "dftiny export net.onnx --calibration tiles/ --explain  where int8 and float part, and what to try",
        "dftiny export --library my-firmware/dftiny_model       and C with one header, for firmware of your own",
    )
)
@click.argument("source", type=ANY_PATH, required=False)
@_out(RUNS / "bundle")
@click.option(
    "--budget",
    "budget_target",
    default="stm32h743",
    show_default=True,
    help="Target that the model must fit.",
)
@click.option(
    "--max-macs", type=click.IntRange(1), help="MAC limit of one inference (default: the target's)."
)
@click.option(
    "--calibration",
    type=ANY_PATH,
    help="Calibration tiles: a data folder, a folder of images or an .npz.  [default: the model's own, else dftiny-runs/data]",
)
@click.option(
    "--golden",
    type=ANY_PATH,
    help="Tiles whose answers travel with the bundle (default: some of the calibration's).",
)
@click.option("--net", help="Net of a checkpoint that does not name its own (dftiny models).")
@click.option(
    "--tile", type=click.IntRange(16, 1024), help="Tile size in pixels (default: the checkpoint's)."
)
@click.option(
    "--threshold",
    type=float,
    help="Image logit above which an image is called real (default: the checkpoint's).",
)
@click.option("--classes", help="Class names of an ONNX model, comma separated.")
@click.option("--mean", help="Channel means of an ONNX model's inputs, 0…1 scale, comma separated.")
@click.option("--std", help="Channel standard deviations, likewise.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Layout of an ONNX model's input.")
@click.option(
    "--library",
    type=FOLDER,
    help="Also write the model as a C library: a CMake target and one header, for any firmware.",
)
@click.option(
    "--calibration-method",
    "method",
    type=click.Choice(CHOICES),
    default="converter",
    show_default=True,
    help="How activation ranges are chosen; best: by the logits' agreement with float on the calibration tiles.",
)
@click.option("--equalise", is_flag=True, help="Scale channels across layers so that their ranges are alike.")
@click.option("--correct-bias", is_flag=True, help="Give back in the biases what rounding shifts on average.")
@click.option(
    "--explain", is_flag=True, help="Say where int8 and float part, and what to try (explain.json)."
)
@click.option(
    "--verdict",
    type=ANY_PATH,
    help="verdict.json of `dftiny verdict`.  [default: the one beside the model, if any]",
)
@_plan_options
def export(
    *,
    classes: str | None,
    method: Choice,
    equalise: bool,
    correct_bias: bool,
    limit_bytes: int | None,
    input_by_rows: bool,
    without: tuple[str, ...],
    **options: Any,
) -> None:
    """Make the int8 bundle.

    Checkpoint or ONNX → ONNX → int8 TFLite → bundle; every stage is compared with the one before. Without
    SOURCE the released model is taken.
    """
    from dftiny.bundle import export as run

    wishes = _wishes(limit_bytes, input_by_rows, without)
    names = classes.split(",") if classes else None
    run(
        classes=names,
        data=RUNS / "data",
        wishes=wishes,
        cures=Cures(method, equalise, correct_bias),
        **options,
    )


@cli.command(
    epilog=_examples(
        "dftiny diagnose model.tflite                          any int8 model, with its own weights in float",
        "dftiny diagnose int8.tflite --float float.tflite --tiles photos/",
        "dftiny diagnose dftiny-runs/bundle --json diagnosis.json",
    )
)
@click.argument("model", type=ANY_PATH, default=RUNS / "bundle")
@click.option("--float", "float_path", type=ANY_PATH, help="The float .tflite that it was quantised from.")
@click.option("--tiles", type=ANY_PATH, help="Inputs: a data folder, a folder of images or an .npz.")
@click.option("--json", "json_path", type=ANY_PATH, help="Also write the diagnosis to this file.")
def diagnose(**options: Any) -> None:
    """Where int8 and float part.

    Error by layer, likely causes with layer and channel, and what to try.
    """
    from dftiny.diagnosis import diagnose_command

    diagnose_command(**options)


@cli.command(
    epilog=_examples(
        "dftiny verdict dftiny-runs/bundle                        fit it",
        "dftiny export dftiny-runs/train --verdict verdict.json   and put it into the bundle",
    )
)
@click.argument("model", type=ANY_PATH, default=RUNS / "bundle")
@_data()
@click.option("--out", type=ANY_PATH, default=Path("verdict.json"), show_default=True, help="File to write.")
def verdict(**options: Any) -> None:
    """Fit when a model may say real or fake.

    On the validation images, and on copies of them as people share, crop and resize them: evidence of a tile, bounds at
    which a photograph is decided, and what the training data looked like. For `dftiny detect` and the chip.
    """
    from dftiny.verdict.validation import fit_verdict

    fit_verdict(**options)


@cli.command(
    epilog=_examples(
        "dftiny budget model.tflite --target stm32h743",
        "dftiny budget dftiny-runs/bundle --json",
        "dftiny budget model.tflite --tile 96,128,160 --target stm32h743,stm32f767 --engine aot,tflm",
        "dftiny budget model.tflite --reserve flash=300K,axi=128K --max-ms 200",
        "dftiny budget model.tflite --activations 100000 --plan     computing maps twice, if that fits them in",
        "dftiny budget model.tflite --html budget.html --junit budget.xml --sarif budget.sarif",
        "dftiny budget --compare old.tflite new.tflite --max-growth 2",
    )
)
@click.argument("model", type=ANY_PATH, default=RUNS / "bundle")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    default=("aot",),
    show_default=True,
    help="aot: ahead-of-time C; tflm: TensorFlow Lite Micro with its reference kernels; several by comma.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("stm32h743",),
    show_default=True,
    help="Chip (dftiny targets) or .toml file; several by comma.",
)
@click.option("--tile", "tiles", multiple=True, help="What if its input were N × N; several by comma.")
@click.option("--reserve", help="What your application takes of each region, as flash=300K,axi=128K.")
@click.option("--map", "app_map", type=ANY_PATH, help="Or the map that GNU ld wrote for your application.")
@click.option(
    "--elf", type=ANY_PATH, help="Firmware linked with this model: its sizes instead of predicted ones."
)
@click.option(
    "--max-macs", type=click.IntRange(1), help="MAC limit of one inference (default: the target's)."
)
@click.option("--max-instructions", type=click.IntRange(1), help="Limit of estimated instructions.")
@click.option("--max-ms", type=click.FloatRange(0, min_open=True), help="Limit of estimated milliseconds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plan", "show_plan", is_flag=True, help="Print what runs together by rows, and why.")
@click.option(
    "--core",
    type=click.Choice(["m7", "m4"]),
    help="Core that speed is estimated for.  [default: the target's]",
)
@click.option("--html", type=ANY_PATH, help="Also write one HTML page: memory over time, operators, regions.")
@click.option("--junit", type=ANY_PATH, help="Also write JUnit XML: a test case a limit.")
@click.option("--sarif", type=ANY_PATH, help="Also write SARIF, for GitHub's code scanning.")
@click.option("--accuracy", type=FOLDER, help="Folder of dftiny compare, whose stages stand on the page.")
@click.option(
    "--compare", type=ANY_PATH, metavar="OLD", help="Another model, the old one, to stand beside it."
)
@click.option(
    "--max-growth", type=click.FloatRange(0), metavar="PERCENT", help="With --compare: fail beyond that."
)
@_plan_options
def budget(
    *,
    limit_bytes: int | None,
    input_by_rows: bool,
    without: tuple[str, ...],
    html: Path | None,
    junit: Path | None,
    sarif: Path | None,
    accuracy: Path | None,
    as_json: bool,
    show_plan: bool,
    compare: Path | None,
    max_growth: float | None,
    **asked: Any,
) -> None:
    """Does it fit the chip?

    Flash, RAM by region, MACs by operator: pass, or fail (exit 1) with the operator that breaks it. Several tiles,
    targets or engines make one table. With a bundle whose firmware was built, the linked sizes count.
    """
    from dftiny.budget.whatif import question_of
    from dftiny.budget_view import budget_command
    from dftiny.report.budget_files import BudgetFiles

    question = question_of(wishes=_wishes(limit_bytes, input_by_rows, without), **asked)
    files = BudgetFiles(html, junit, sarif, accuracy)
    budget_command(
        question, as_json=as_json, show_plan=show_plan, files=files, compare=compare, max_growth=max_growth
    )


@cli.command(
    epilog=_examples(
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


@cli.command(epilog=_examples("dftiny flash", "dftiny flash my-build --serial-number 0667FF…"))
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
    epilog=_examples(
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


@cli.command(epilog=_examples("dftiny fault --port /dev/ttyACM0 --build dftiny-runs/build/nucleo_h743zi"))
@_one_board
def fault(**options: Any) -> None:
    """Show a board's last fault.

    Registers, reason, and file and line where the build is given.
    """
    from dftiny.selftest import fault_command

    fault_command(runs=RUNS, **options)


@cli.command(
    epilog=_examples(
        "dftiny bench --port /dev/ttyACM0",
        "dftiny bench --port /dev/ttyACM0 --data dftiny-runs/data --limit 20",
        "dftiny bench --port /dev/ttyACM0 --golden --share my-board.json",
        "dftiny bench --board mps2_an500 --jobs 2",
        "dftiny bench --board host --golden --flag --drop=0.0005 --flag --flip=0.0005",
    )
)
@_out(RUNS / "bench")
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


@cli.command(epilog=_examples("dftiny report", "dftiny report my-bench --out page.html"))
@click.argument("bench_dir", metavar="[BENCH]", type=FOLDER, default=RUNS / "bench")
@click.option("--out", type=ANY_PATH, help="HTML file to write.  [default: BENCH/report.html]")
@click.option("--compare", type=FOLDER, help="Folder of dftiny compare, to show all stages side by side.")
def report(**options: Any) -> None:
    """Write the HTML page.

    ROC, confusion matrix, operators, tile maps; one file that loads nothing.
    """
    from dftiny.report import report as run

    run(**options)


@cli.command(epilog=_examples("dftiny compare --bench dftiny-runs/bench"))
@_out(RUNS / "compare")
@_data()
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


@cli.command(epilog=_examples("dftiny engines dftiny-runs/bench dftiny-runs/bench-tflm"))
@click.argument("folders", metavar="BENCH...", type=FOLDER, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def engines(folders: tuple[Path, ...], as_json: bool) -> None:
    """Put engines side by side.

    The same bundle on the same board: bits, instructions or cycles, RAM and flash, from folders of dftiny bench.
    """
    from dftiny.engines import engines_command

    engines_command(folders, as_json=as_json)


@cli.command(
    epilog=_examples(
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


@cli.command(epilog=_examples("dftiny targets"))
def targets() -> None:
    """List the chips."""
    from dftiny.budget_view import targets_table

    click.echo(targets_table())


@cli.command(epilog=_examples("dftiny boards"))
def boards() -> None:
    """List the boards."""
    from dftiny.boards import boards_table

    click.echo(boards_table())


@cli.command(epilog=_examples("dftiny models"))
def models() -> None:
    """List models and nets."""
    from dftiny.models import models_table

    click.echo(models_table())


@cli.command(epilog=_examples("dftiny doctor"))
def doctor() -> None:
    """Check this computer.

    Ports and permissions, packages, toolchain, emulators and flash tools.
    """
    from dftiny.doctor import doctor as run

    sys.exit(run())


def _as_ctrl_c(_number: int, frame: FrameType | None) -> None:
    """A closed terminal and `timeout` end a run as Ctrl-C does: boards stopped, results kept, no half folders."""
    act = signal.getsignal(signal.SIGINT)
    if callable(act):
        act(signal.SIGINT, frame)
    else:  # a background job of a script ignores Ctrl-C
        raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line; turn the two expected errors into one sentence and an exit code."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        # --debug is meant wherever it stands, also behind the subcommand.
        sys.argv = [sys.argv[0], "--debug", *(a for a in sys.argv[1:] if a != "--debug")]
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _as_ctrl_c)
    try:
        status = cli.main(standalone_mode=False)
    except DftError as e:
        if debug:
            traceback.print_exc()
        click.echo(f"dftiny: {e}", err=True)
        sys.exit(e.exit_code)
    except ModuleNotFoundError as e:
        package = (e.name or "").split(".")[0]
        if debug or package not in EXTRAS:
            raise
        click.echo(f"dftiny: this needs {package}; pip install 'dftiny[{EXTRAS[package]}]'", err=True)
        sys.exit(2)
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        sys.exit(2)
    except click.ClickException as e:
        context = getattr(e, "ctx", None)
        hint = f"; see {context.command_path} --help" if context else ""
        click.echo(f"dftiny: {e.format_message().rstrip('.')}{hint}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("dftiny: stopped; finished stages and partial results are kept", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
