"""Whole studies: the thesis' grid, trained, scored and tabled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dftiny.commands.group import RUNS, cli, data_option, examples, fold_option, out_option

# The recipes of the released nets for all platforms.
RELEASED = ("phinet_h743", "micronet_h743")


@cli.group(epilog=examples("dftiny reproduce thesis --data folds --quick     its tables, ours beside them"))
def reproduce() -> None:
    """Reproduce the thesis.

    Its grid of nets and methods, trained and scored on your data.
    """


@reproduce.command(
    epilog=examples(
        "dftiny data --folds 5 --out folds",
        "dftiny reproduce thesis --data folds --quick          small nets, two folds",
        "dftiny reproduce thesis --data folds --small          the same nets in every fold, and with three seeds",
        "dftiny reproduce thesis --data folds --plan           how long the full grid will take",
        "dftiny reproduce thesis --report                      the tables again, from what is there",
    )
)
@out_option(RUNS / "thesis")
@data_option()
@click.option("--quick", "grid", flag_value="quick", help="Small nets and short cells, two folds, one seed.")
@click.option(
    "--small",
    "grid",
    flag_value="small",
    help="Small nets and short cells, all folds, three seeds (one above 0.5 M parameters).",
)
@click.option(
    "--nets",
    multiple=True,
    metavar="NET",
    help="Only this net (may repeat), by the thesis' name or ours; PhiNet=phinet_thesis for another.",
)
@fold_option()
@click.option("--seeds", type=click.IntRange(1, 100), help="Seeds of each net instead of the grid's.")
@click.option("--steps", type=click.IntRange(2), help="Steps of every cell instead of the grid's.")
@click.option(
    "--weights",
    multiple=True,
    metavar="NET=FILE",
    help="Public weights to begin with: then the thesis' frozen backbone.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Cells trained at a time."
)
@click.option("--plan", "plan_only", is_flag=True, help="Say how long it will take, and train nothing.")
@click.option("--report", "only_report", is_flag=True, help="Show the tables of what is there.")
def thesis(*, data: Path, out: Path, plan_only: bool, only_report: bool, **wishes: Any) -> None:
    """Tables 4.1 to 4.7, ours beside the thesis'.

    Three nets, supervised, tuned for each platform, SimCLR and mixed, before sharing and after each platform, with
    their controls. Every cell is a folder of its own: a run that was stopped goes on.
    """
    from dftiny.thesis.report import report
    from dftiny.thesis.run import Wishes, reproduce

    if only_report:
        report(out)
    else:
        reproduce(data, out, Wishes(**{**wishes, "grid": wishes["grid"] or "full"}), plan_only=plan_only)


@cli.command(
    epilog=examples(
        "dftiny data --folds 5 --out folds",
        "dftiny crossval --data folds --recipe phinet_h743 --correct-bias     float and int8, every photograph tested once",
        "dftiny crossval --data folds --recipe micronet_h743                  into the same folder, the same table",
        "dftiny crossval --data folds --recipe phinet_h743 --correct-bias --tune finetune_all     beside a copy tuned to each platform",
        "dftiny crossval --report                                             the figures again, from what is there",
    )
)
@out_option(RUNS / "crossval")
@data_option()
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    help=f"Recipe by name or .toml file (may repeat).  [default: the released {' and '.join(RELEASED)}]",
)
@fold_option()
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every round.")
@click.option("--steps", type=click.IntRange(2), help="Steps instead of the recipe's.")
@click.option(
    "--correct-bias", is_flag=True, help="Put the int8 nets' biases right, as `dftiny export` does."
)
@click.option(
    "--tune",
    is_flag=False,
    flag_value="finetune_all",
    multiple=True,
    metavar="[RECIPE]",
    help="Tune a copy of each net to each platform too (finetune_all), and say what the one net loses.",
)
@click.option("--tune-steps", type=click.IntRange(2), help="Steps of such a copy instead of 350.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Rounds run at a time."
)
@click.option("--report", "only_report", is_flag=True, help="Show the figures of what is there.")
def crossval(*, data: Path, out: Path, only_report: bool, **wishes: Any) -> None:
    """Cross-validate a recipe.

    Trains it in every fold, exports each net to int8, and judges both: what the chip's net is worth on photographs it
    never saw. A run that was stopped goes on.
    """
    from dftiny.crossval.report import report
    from dftiny.crossval.run import Wishes, crossval

    if only_report:
        report(out)
        return
    crossval(data, out, Wishes(**{**wishes, "recipes": wishes["recipes"] or RELEASED}))
