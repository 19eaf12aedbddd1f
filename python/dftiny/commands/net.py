"""From photographs to a bundle that fits: data, train, evaluate, export, diagnose, verdict, budget."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from dftiny.commands.group import (
    ANY_PATH,
    FOLDER,
    RUNS,
    Finite,
    cli,
    data_option,
    examples,
    out_option,
    plan_options,
    wishes_of,
)
from dftiny.diagnose import CHOICES, Choice, Cures


@cli.command(
    epilog=examples(
        "dftiny data",
        "dftiny data --photos ~/Pictures --out my-data",
        "dftiny data --folds 5 --out folds                     every photograph tested once, in five rounds",
        "dftiny data --trueface TrueFace --out faces           TrueFace's tree, in place",
        "dftiny data --real photos --fake made --out own       any two folders; sub-folders of made are generators",
    )
)
@out_option(RUNS / "data")
@click.option("--photos", type=FOLDER, help="Folder of photographs instead of the Debian packages'.")
@click.option(
    "--strength",
    type=click.Choice(["strong", "weak"]),
    default="strong",
    show_default=True,
    help="Strength of the simulated traces.",
)
@click.option(
    "--folds",
    type=click.IntRange(3, 50),
    help="A cross-validation set of so many parts (5 is usual) instead of train, val and test.",
)
@click.option("--trueface", type=FOLDER, help="TrueFace's tree instead of the demo data; nothing is copied.")
@click.option("--real", type=FOLDER, help="Folder of real images, with --fake: your own data, in place.")
@click.option("--fake", type=FOLDER, help="Folder of fakes; its sub-folders name the generators.")
@click.option("--held-out", multiple=True, metavar="GENERATOR", help="Of your own data: only tested on.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
def data(**options: Any) -> None:
    """Build the demo data, or index your own.

    Photographs, simulated fakes, sharing profiles and controls; card.md says what it is and is not. Your own images
    stay where they are: each is opened once, split by picture, and a leak between splits is refused.
    """
    from dftiny.data.build import build_data

    build_data(**options)


@cli.command(epilog=examples("dftiny leaks", "dftiny leaks my-data"))
@click.argument("data", type=FOLDER, default=RUNS / "data")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
def leaks(**options: Any) -> None:
    """Does anything lie in two splits?

    The same source, the same file, or nearly the same picture; every image is opened and compared with its hash.
    """
    from dftiny.data.leak_check import check_leaks

    check_leaks(**options)


@cli.command(
    epilog=examples(
        "dftiny train",
        "dftiny train --recipe my.toml --out my-net",
        "dftiny train --recipe phinet_demo_qat --start dftiny-runs/train --out my-qat    for int8, rounding included",
        "dftiny train --recipe mixed --net micronet_m1 --out my-mixed                     one net for all platforms",
        "dftiny train --recipe finetune_head --sharing facebook-like --start dftiny-runs/train --out my-facebook",
    )
)
@out_option(RUNS / "train")
@data_option()
@click.option("--recipe", default="phinet_demo", show_default=True, help="Name or .toml file of a recipe.")
@click.option("--net", help="Net instead of the recipe's (dftiny models).")
@click.option("--tile", type=click.IntRange(32, 1024), help="Tile size in pixels instead of the recipe's.")
@click.option(
    "--sharing", help="What training tiles go through instead of the recipe's: pre, a profile, mixed."
)
@click.option("--steps", type=click.IntRange(2), help="Steps instead of the recipe's.")
@click.option("--fold", type=click.IntRange(0), help="Fold of a data folder built with --folds.")
@click.option("--start", type=ANY_PATH, help="Begin with this checkpoint's weights (a file or its folder).")
@click.option(
    "--weights", type=ANY_PATH, help="Begin with public weights: micromind's, MicroNet's, torchvision's."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights and batches.")
@click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Go on where the same run stopped."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Torch threads.")
@click.option("--tensorboard", is_flag=True, help="Write curves for TensorBoard into OUT/tensorboard.")
def train(**options: Any) -> None:
    """Train a tile detector.

    By a recipe in TOML; resumable, deterministic by seed. Several processes train one net together under
    torchrun -m dftiny train.
    """
    from dftiny.train.training import train as run

    run(**options)


@cli.command(epilog=examples("dftiny evaluate", "dftiny evaluate my-net --data my-data --split val"))
@click.argument("checkpoint", type=ANY_PATH, default=RUNS / "train")
@out_option(RUNS / "evaluate")
@data_option()
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Part of the data to judge.",
)
@click.option("--sharing", "sharings", multiple=True, help="Only this sharing profile (may repeat).")
@click.option("--net", help="Net of a checkpoint that does not name its own (dftiny models).")
@click.option("--fold", type=click.IntRange(0), help="Fold of a data folder built with --folds.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Torch threads.")
def evaluate(*, sharings: tuple[str, ...], **options: Any) -> None:
    """Score a checkpoint.

    Accuracy, F1 and AUC with intervals, by sharing profile, generator and control.
    """
    from dftiny.evaluate import evaluate as run

    run(sharings=sharings or None, **options)


@cli.command(
    epilog=examples(
        "dftiny export --budget stm32h743                       the released model",
        "dftiny export dftiny-runs/train --budget stm32h743     a trained checkpoint",
        "dftiny export net.onnx --calibration tiles/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --layout nchw",
        "dftiny export net.tflite                               int8 already: taken as it is",
        "dftiny export net.onnx --calibration tiles/ --explain  where int8 and float part, and what to try",
        "dftiny export --library my-firmware/dftiny_model       and C with one header, for firmware of your own",
    )
)
@click.argument("source", type=ANY_PATH, required=False)
@out_option(RUNS / "bundle")
@click.option(
    "--budget",
    "target",
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
    type=Finite(),
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
@plan_options
def export(
    *,
    target: str,
    max_macs: int | None,
    limit_bytes: int | None,
    input_by_rows: bool,
    without: tuple[str, ...],
    classes: str | None,
    method: Choice,
    equalise: bool,
    correct_bias: bool,
    **options: Any,
) -> None:
    """Make the int8 bundle.

    Checkpoint or ONNX → ONNX → int8 TFLite → bundle; every stage is compared with the one before. Without
    SOURCE the released model is taken.
    """
    from dftiny.bundle import Fit
    from dftiny.bundle import export as run
    from dftiny.export.source import Reading

    said = {f.name: options.pop(f.name) for f in fields(Reading) if f.name in options}
    run(
        reading=Reading(data=RUNS / "data", **said),
        fit=Fit(target, max_macs, wishes_of(limit_bytes, input_by_rows, without)),
        classes=classes.split(",") if classes else None,
        cures=Cures(method, equalise, correct_bias),
        **options,
    )


@cli.command(
    epilog=examples(
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
    epilog=examples(
        "dftiny verdict dftiny-runs/bundle                        fit it",
        "dftiny export dftiny-runs/train --verdict verdict.json   and put it into the bundle",
    )
)
@click.argument("model", type=ANY_PATH, default=RUNS / "bundle")
@data_option()
@click.option("--out", type=ANY_PATH, default=Path("verdict.json"), show_default=True, help="File to write.")
def verdict(**options: Any) -> None:
    """Fit when a model may say real or fake.

    On the validation images, and on copies of them as people share, crop and resize them: evidence of a tile, bounds at
    which a photograph is decided, and what the training data looked like. For `dftiny detect` and the chip.
    """
    from dftiny.verdict.validation import fit_verdict

    fit_verdict(**options)


@cli.command(
    epilog=examples(
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
@click.option("--max-ms", type=Finite(0, min_open=True), help="Limit of estimated milliseconds.")
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
@click.option("--max-growth", type=Finite(0), metavar="PERCENT", help="With --compare: fail beyond that.")
@plan_options
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

    question = question_of(wishes=wishes_of(limit_bytes, input_by_rows, without), **asked)
    files = BudgetFiles(html, junit, sarif, accuracy)
    budget_command(
        question, as_json=as_json, show_plan=show_plan, files=files, compare=compare, max_growth=max_growth
    )
