"""Fast tests first; a missing tool is a visible, counted skip on a laptop and a failure where everything was set
up (tools/test); what tools/setup cannot bring is counted in a line of its own."""

from __future__ import annotations

import os
import shutil

import pytest

NOT_RUN = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    absent = config.stash.setdefault(NOT_RUN, {})
    left_out = [i for i in items if _lacks(i, absent)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [i for i in items if i not in left_out]
    items.sort(
        key=lambda i: (i.get_closest_marker("slow") is not None, i.get_closest_marker("emu") is not None)
    )


def _lacks(item: pytest.Item, absent: dict[str, int]) -> bool:
    """Does the test need what is not there, a program or what an environment variable names? Counts it."""
    mark = item.get_closest_marker("outside")
    if mark is None or os.environ.get(mark.args[0]) or shutil.which(mark.args[0]):
        return False
    variable = mark.args[0].isupper()
    line = f"{mark.args[1]} ({mark.args[0]} is not {'set' if variable else 'installed'})"
    absent[line] = absent.get(line, 0) + 1
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line, n in config.stash.get(NOT_RUN, {}).items():
        terminalreporter.write_line(f"{n} not run: {line}", yellow=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("DFT_REQUIRE_TOOLS") != "1" or exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter is not None else 0
    if skipped:
        reporter.write_line(
            f"\n{skipped} skipped although tools/test set everything up: that is a failure", red=True
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
