"""Fast tests first; and a missing tool is a visible, counted skip on a laptop and a failure where everything was set
up (tools/test)."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda i: (i.get_closest_marker("slow") is not None, i.get_closest_marker("emu") is not None)
    )


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
