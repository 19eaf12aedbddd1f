"""What there is and what is missing: targets, boards, models, doctor."""

from __future__ import annotations

import sys

import click

from dftiny.commands.group import cli, examples


@cli.command(epilog=examples("dftiny targets"))
def targets() -> None:
    """List the chips."""
    from dftiny.budget_view import targets_table

    click.echo(targets_table())


@cli.command(epilog=examples("dftiny boards"))
def boards() -> None:
    """List the boards."""
    from dftiny.boards import boards_table

    click.echo(boards_table())


@cli.command(epilog=examples("dftiny models"))
def models() -> None:
    """List models and nets."""
    from dftiny.models import models_table

    click.echo(models_table())


@cli.command(epilog=examples("dftiny doctor"))
def doctor() -> None:
    """Check this computer.

    Ports and permissions, packages, toolchain, emulators and flash tools.
    """
    from dftiny.doctor import doctor as run

    sys.exit(run())
