"""A short campaign with damaged files, and that the campaign sees what it looks for."""

from __future__ import annotations

import json
from collections import Counter

import mutant_answers
import mutation_campaign
import pytest
from mutants import SHARES, STRUCTURAL, mutant

from dftiny.export import tflm

FILES = 120


def test_damaged_files_end_in_a_report_or_one_sentence() -> None:
    outcomes = [mutation_campaign.tried(seed) for seed in range(FILES)]
    failures = [(o.seed, o.verdict, o.text) for o in outcomes if o.failed]
    assert not failures, failures[:3]
    verdicts = Counter(o.verdict for o in outcomes)
    assert verdicts["report"] > FILES / 20, "hardly a mutant gets past the reader"
    assert verdicts["refused"] > FILES / 2


@pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")
def test_damaged_files_that_load_are_answered_as_tflm_answers_them() -> None:
    verdicts = Counter(mutant_answers.answered(seed) for seed in range(FILES))
    assert not set(verdicts) & set(mutant_answers.BAD), verdicts
    assert verdicts["equal"] > FILES / 20


def test_most_mutations_are_in_the_tables() -> None:
    kinds = Counter(k for seed in range(300) for k in mutant(seed, mutation_campaign.bases()).kinds)
    assert set(kinds) == set(SHARES)
    assert sum(kinds[k] for k in STRUCTURAL) >= 0.7 * kinds.total()


def test_a_mutant_is_made_from_its_seed_alone() -> None:
    one, two = (mutant(7, mutation_campaign.bases()) for _ in range(2))
    assert one == two
    assert one.data != mutation_campaign.bases()[one.base].data


@pytest.mark.parametrize(
    ("code", "out", "err", "cpu_s", "verdict"),
    [
        (2, "", "dftiny: one sentence\n", 0.1, "refused"),
        (2, "", "two\nlines\n", 0.1, "exit 2 without a sentence or a report"),
        (0, '{"macs": 1, "fits": true, "regions": {}}', "", 0.1, "report"),
        (0, '{"macs": 1', "", 0.1, "exit 0 without a sentence or a report"),
        (1, "", "Traceback (most recent call last): …", 0.1, "traceback"),
        (99, "", "Traceback (most recent call last): …", 0.1, "traceback"),
        (-9, "", "", 0.1, "killed by signal 9"),
        (2, "", "dftiny: one sentence\n", 1.9, "too slow"),
    ],
)
def test_what_counts_as_what(code: int, out: str, err: str, cpu_s: float, verdict: str) -> None:
    assert mutation_campaign._verdict(code, out, err, cpu_s) == verdict


def test_memory_and_tracebacks_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry() -> None:
        print(json.dumps({"macs": len(bytearray(600 << 20)), "fits": True, "regions": {}}))

    mutation_campaign._warm()
    monkeypatch.setattr(mutation_campaign.cli, "main", hungry)
    assert mutation_campaign.tried(1).verdict == "traceback"
    assert "MemoryError" in mutation_campaign.tried(1).text
