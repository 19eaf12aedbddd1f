"""The command line: one subcommand a stage, no logic. Every heavy import happens inside a command.

Exit codes: 0 fine; 1 a check failed or a run could not finish; 2 wrong use or bad input.
"""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import click

# Importing a module of commands puts them into the group: in this order, which is that of the stages.
from dftiny.commands import net

# isort: split
from dftiny.commands import study

# isort: split
from dftiny.commands import board

# isort: split
from dftiny.commands import lists
from dftiny.commands.group import cli
from dftiny.errors import DftError, with_hint

PARTS = (net, study, board, lists)
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
        hint = f"see {context.command_path} --help" if context else ""
        click.echo(f"dftiny: {with_hint(e.format_message().rstrip('.'), hint)}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("dftiny: stopped; finished stages and partial results are kept", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
