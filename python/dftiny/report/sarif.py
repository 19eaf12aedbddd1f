"""A budget as SARIF 2.1.0, which GitHub and others show beside the change that broke it. Called by budget_files.py.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dftiny import __version__
from dftiny.budget import Budget

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    "does-not-fit": "The model needs more memory, or more work an inference, than the target or its limits give.",
    "grown": "The model needs more than the one it is compared with.",
}


def sarif(b: Budget, model: Path, grown: tuple[str, ...] = ()) -> dict[str, Any]:
    """One run: a result for each sentence of the budget that says why the model does not fit, and for each figure that
    has grown. `model` is the file the results point at, as the user gave it."""
    found = [_result("does-not-fit", s, model) for s in b.reasons]
    found += [_result("grown", s, model) for s in grown]
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()]
    driver = {"name": "dftiny budget", "version": __version__, "rules": rules}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": found}]}


def _result(rule: str, sentence: str, model: Path) -> dict[str, Any]:
    # A place in a binary file: viewers want a line, so the first one.
    place = {"artifactLocation": {"uri": model.as_posix()}, "region": {"startLine": 1}}
    return {
        "ruleId": rule,
        "level": "error",
        "message": {"text": sentence},
        "locations": [{"physicalLocation": place}],
    }
