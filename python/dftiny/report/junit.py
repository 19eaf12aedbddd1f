"""A budget as JUnit XML, which every CI system shows as tests: one case a limit. Called by budget_files.py."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from dftiny.budget import Budget


def junit_xml(b: Budget) -> str:
    """One test suite; a limit that is kept passes, one that is broken fails with the budget's own sentence."""
    cases = list(_cases(b))
    failed = sum(why is not None for _, _, why in cases)
    name = f"dftiny budget {b.target}"
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(cases)), failures=str(failed), errors="0"
    )
    for case, said, why in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=b.model, name=case)
        if why is not None:
            ElementTree.SubElement(element, "failure", message=why).text = why
        ElementTree.SubElement(element, "system-out").text = said
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _cases(b: Budget) -> Iterator[tuple[str, str, str | None]]:
    """(name, what was found, why it fails or None). A sentence of the budget that no case claims has its own case."""
    left = list(b.reasons)
    for r in b.regions:
        mine = [s for s in left if f"region {r.name}" in s]
        left = [s for s in left if s not in mine]
        said = f"{r.taken:,} of {r.total:,} bytes"
        fallback = f"{r.over:,} bytes over" if r.over else None
        yield f"fits region {r.name}", said, "; ".join(mine) or fallback
    mine = [s for s in left if " MACs" in s]
    yield "within the limit of MACs", f"{b.macs:,} of {b.max_macs:,}", "; ".join(mine) or None
    for sentence in (s for s in left if s not in mine):
        yield "within its limits", sentence, sentence
