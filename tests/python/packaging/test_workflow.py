"""The workflow that users' CI runs cannot run here: what can be said of it without a runner is held.

It is YAML, its jobs know one another, nothing floats (images, actions, runners carry a version), its scripts are shell,
and what they call is there.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
VERSION = re.compile(r"(v?\d+(\.\d+)*[\w.-]*|[0-9a-f]{40})$")
ROBOT = ROOT / "tools/renode/nucleo_h743zi.robot"


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, Any]]:
    """Every job of every workflow by name."""
    assert FILES
    found: dict[str, dict[str, Any]] = {}
    for path in FILES:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        triggers = value[True]  # YAML 1.1 reads the key `on` as a truth value
        assert {"push", "pull_request"} <= set(triggers), path.name
        found |= value["jobs"]
    return found


def steps(jobs: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for job in jobs.values():
        yield from job["steps"]


def test_jobs_need_jobs_that_are_there(jobs: dict[str, dict[str, Any]]) -> None:
    assert {"test", "firmware", "bench", "renode"} <= set(jobs)
    for name, job in jobs.items():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs) - {name}
        assert job["timeout-minutes"] <= 60
        assert job["steps"]


def test_nothing_floats(jobs: dict[str, dict[str, Any]]) -> None:
    images = [
        c if isinstance(c := job["container"], str) else c["image"]
        for job in jobs.values()
        if "container" in job
    ]
    runners = [job["runs-on"] for job in jobs.values() if "matrix" not in job["runs-on"]]
    systems = [
        one for job in jobs.values() for one in job.get("strategy", {}).get("matrix", {}).get("os", [])
    ]
    actions = [step["uses"] for step in steps(jobs) if "uses" in step]
    assert len(images) >= 4 and len(actions) >= 6
    assert any(image.startswith("antmicro/renode:") for image in images)
    for pinned, mark in ((images, ":"), (actions, "@"), (runners + systems, "-")):
        for one in pinned:
            assert VERSION.match(one.partition(mark)[2]), one


def test_every_script_is_shell_and_calls_what_is_there(jobs: dict[str, dict[str, Any]]) -> None:
    scripts = [re.sub(r"\$\{\{.*?\}\}", "value", step["run"]) for step in steps(jobs) if "run" in step]
    assert len(scripts) > 10
    called: set[str] = set()
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (script, done.stderr)
        called |= set(re.findall(r"(?<![\w/])tools/[\w./]+", script))
    assert {"tools/test", "tools/demo", "tools/counts", ROBOT.relative_to(ROOT).as_posix()} <= called
    for name in called:
        assert (ROOT / name).is_file(), name
        assert name.endswith(".robot") or os.access(ROOT / name, os.X_OK), name


def test_renode_is_given_only_variables_that_its_script_has(jobs: dict[str, dict[str, Any]]) -> None:
    script = "\n".join(step.get("run", "") for step in jobs["renode"]["steps"])
    given = set(re.findall(r'--variable "?(\w+):', script))
    has = set(re.findall(r"^\$\{(\w+)\}", ROBOT.read_text(encoding="utf-8"), re.MULTILINE))
    assert given and given <= has
    assert jobs["renode"]["needs"] == "firmware"


def renode_file(name: str) -> str:
    return (ROOT / "tools/renode" / name).read_text(encoding="utf-8")


def test_renode_is_given_files_that_its_pinned_release_has(jobs: dict[str, dict[str, Any]]) -> None:
    """Read in Renode's sources at the tag v1.15.3: platforms/cpus has stm32h743.repl, and no stm32h7.repl yet."""
    assert jobs["renode"]["container"]["image"] == "antmicro/renode:1.15.3"
    assert re.findall(r'^using "(.*)"', renode_file("nucleo_h743zi.repl"), re.MULTILINE) == [
        "platforms/cpus/stm32h743.repl"
    ]


def test_the_link_of_renode_has_a_name_of_its_own() -> None:
    """Renode's monitor looks a name up among the machine's peripherals first, with and without `sysbus.`: a terminal
    called as a peripheral is never found."""
    script = renode_file("nucleo_h743zi.resc")
    (made,) = re.findall(r'^emulation CreateServerSocketTerminal \$port "(\w+)" false$', script, re.MULTILINE)
    ((peripheral, terminal),) = re.findall(r"^connector Connect sysbus\.(\w+) (\w+)$", script, re.MULTILINE)
    assert (peripheral, terminal) == ("usart3", made)
    assert made not in ("cpu", "nvic", "dwt", "sysbus") and not re.match(
        r"u?s?art|lpuart|gpio|timer|spi|i2c", made
    )


def test_every_keyword_and_variable_of_the_robot_is_there() -> None:
    """Its own, those of renode-keywords.robot that it calls, and Robot Framework's."""
    text = ROBOT.read_text(encoding="utf-8")
    own = re.findall(
        r"^(?!\*|\.|:|\s|#|\$)(\S.*?)$", text.split("*** Keywords ***")[1].split("***")[0], re.MULTILINE
    )
    called = set(re.findall(r"^    ([A-Z]\w+(?: \w+)*)", text.split("*** Keywords ***")[1], re.MULTILINE))
    known = {"Execute Command", "Log To Console", "Should Be Equal As Integers", *own}
    assert called and called <= known
    set_ = set(re.findall(r"^(?:    )*(?:\[Arguments\]    )?[$@]\{(\w+)\}", text, re.MULTILINE)) | {"command"}
    used = set(re.findall(r"[$@]\{(\w+)", text))
    assert used - set_ <= {"RENODEKEYWORDS", "CURDIR", "TEMPDIR"}
