"""Targets as data: every shipped chip is consistent, and a broken file is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import phinet_like

from dftiny import spec
from dftiny.budget import Budget, budget
from dftiny.budget_view import budget_text, targets_table
from dftiny.codegen.linker_ld import linker_ld
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.target import Target, load_target

CHIPS = ("stm32f746", "stm32f767", "stm32h743", "stm32h747", "stm32h7a3", "stm32l4r5", "stm32u585")
TEXT = (spec.SPEC_DIR / "targets" / "stm32h743.toml").read_text(encoding="utf-8")


def test_every_chip_is_there() -> None:
    assert set(CHIPS) <= set(spec.names("targets"))


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_is_consistent(name: str) -> None:
    """It names its manual, its parts make up what the data sheet's first page says, and a linker script comes of it."""
    target = load_target(name)
    ram = sum(r.bytes for r in target.regions if r.kind == "ram")
    assert target.name == name and target.source.startswith("RM0") and "unverified" in target.source
    assert target.flash.bytes == target.flash_total_bytes
    assert target.ram_total_bytes <= ram + 2048 and ram <= target.ram_total_bytes * 1.06
    assert target.mhz is not None and 100 <= target.mhz <= 480
    assert all(f"  {r.name} (" in linker_ld(target) for r in target.regions)
    assert name in targets_table()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return phinet_like(tile=64)


@pytest.fixture(scope="module")
def on_h743(graph: Graph) -> Budget:
    return budget(graph, load_target("stm32h743"))


@pytest.mark.parametrize("name", CHIPS)
def test_a_budget_for_every_chip(name: str, graph: Graph, on_h743: Budget) -> None:
    for engine in ("aot", "tflm"):
        b = budget(graph, load_target(name), engine, file_bytes=90_000)
        assert b.fits, b.reasons
        assert [r.name for r in b.regions] == [r.name for r in load_target(name).regions]
        if engine == "tflm":
            continue
        assert b.code_measured is (name == "stm32h743")
        assert ("assumed" in budget_text(b)) is (name != "stm32h743")
        assert b.flash_bytes is not None and on_h743.flash_bytes is not None
        assert b.flash_bytes >= on_h743.flash_bytes


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("stack_bytes = 8192", "stack_bytes = 8192\narena = true"), "cut it into two"),
        (('core = "cortex-m7"', 'core = "cortex-a53"'), "not one of cortex-m7"),
        (("mhz = 480", "mhz = 0"), "not positive"),
        (("mhz = 480", "mhz = inf"), "malformed"),
        (('name = "itcm"', 'name = "it cm; }"'), "small letters"),
        (("origin = 0x24000000", "origin = 0xFFFFFFF0"), "32 bits"),
        (("[[region]]", "[region]"), "valid TOML|malformed|lacks"),
    ],
)
def test_a_broken_target_is_one_sentence(change: tuple[str, str], expected: str, tmp_path: Path) -> None:
    assert change[0] in TEXT
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace(*change), encoding="utf-8")
    with pytest.raises(DftError, match=expected) as e:
        load_target(str(path))
    assert "\n" not in str(e.value)


LINES = TEXT.splitlines()
VALUES = st.sampled_from(
    ["-1", "0", "1e400", "nan", '"x"', "[]", "{}", "true", "10000000000000000000000", "0x20000000"]
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(LINES) - 1), VALUES, st.booleans())
def test_a_mutated_target_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, at: int, value: str, drop: bool) -> None:  # fmt: skip
    lines = list(LINES)
    key = lines[at].partition("=")[0]
    lines[at : at + 1] = [] if drop else [f"{key} = {value}"]
    path = tmp_path_factory.getbasetemp() / "mutated.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    said = None
    try:
        loaded: Target | None = load_target(str(path))
    except DftError as e:
        said, loaded = e.cause, None
    assert loaded is not None or (said is not None and "\n" not in said)
