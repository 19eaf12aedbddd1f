"""The command group, and the options that several commands share. Called by the other modules of this package."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dftiny import __version__

RUNS = Path("dftiny-runs")
FOLDER = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)


class Finite(click.FloatRange):
    """A number within limits. Not "nan", which click lets through and no limit stops, and not "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def plan_options(command: Any) -> Any:
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


def wishes_of(limit_bytes: int | None, input_by_rows: bool, without: tuple[str, ...]) -> Any:
    from dftiny.plan import Wishes

    return Wishes(limit_bytes=limit_bytes, input_by_rows=input_by_rows, without=frozenset(without))


def out_option(default: Path) -> Callable[..., Any]:
    return click.option("--out", type=FOLDER, default=default, show_default=True, help="Folder to write.")


def data_option() -> Callable[..., Any]:
    return click.option("--data", type=FOLDER, default=RUNS / "data", show_default=True, help="Data folder.")


class _Folds(click.ParamType):
    """Folds by their numbers, one or several: "0" or "0,2,3"."""

    name = "folds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        parts = str(value).split(",")
        if not all(p.isascii() and p.isdigit() and len(p) < 4 for p in parts):
            self.fail(f"{value!r} is no fold, nor a list of folds like 0,2", param, ctx)
        return tuple(int(p) for p in parts)


def fold_option() -> Callable[..., Any]:
    """Some of a data set's folds, for commands that otherwise take all of them."""
    return click.option(
        "--fold",
        "--folds",
        "folds",
        multiple=True,
        type=_Folds(),
        metavar="K",
        callback=lambda _ctx, _param, given: tuple(k for some in given for k in some),
        help="Only this fold (may repeat, or be a list: 0,2).",
    )


class _InStageOrder(click.Group):
    """Lists the commands in the order they are written here: the order of the stages."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InStageOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
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
