"""The self-test's made-up layers: each brings its kernel, every kernel has one, and the portable kernels give the oracle's bits."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from host_model import FIRMWARE, FLAGS, INCLUDES, run_tool

from dftiny import graph, spec
from dftiny.budget import region_specs
from dftiny.codegen.needed_files import needed_files
from dftiny.codegen.selftest_c import selftest_c
from dftiny.codegen.vectors_c import symbol_of, vector_c
from dftiny.models import released_model
from dftiny.plan import plan
from dftiny.target import load_target
from dftiny.vectors import BYTES_MAX, FAMILIES, WITHOUT, Vector, all_vectors, vectors_of

MAIN = """
#include <stdio.h>
#include <string.h>
#include "dft/crc.h"
#include "dft/proofs.h"
extern const dft_vector NAMES;
static const dft_vector *const all[] = {ADDRESSES};
static _Alignas(32) int8_t memory[BYTES_MAX];
int main(void)
{
    for (unsigned n = 0; n < sizeof all / sizeof all[0]; n++) {
        int8_t *const base = memory;
        memset(memory, 0x5A, sizeof memory);
        for (uint32_t i = 0; i < all[n]->in_bytes; i++) {
            uint32_t mixed = (i + 1u) * 2654435761u;
            mixed = (mixed ^ mixed >> 15) * 2246822519u;
            memory[all[n]->in + i] = (int8_t)(uint8_t)(mixed >> 24);
        }
        all[n]->run(&base);
        uint32_t sum = ~dft_crc(DFT_CRC_START, (const uint8_t *)memory + all[n]->out, all[n]->out_bytes);
        printf("%s %d\\n", all[n]->name, sum == all[n]->sum);
    }
    return 0;
}
"""


def kernels() -> set[str]:
    """Every kernel that a net may name."""
    sizes = spec.read_toml(spec.SPEC_DIR / "code_size.toml", "table of code sizes")["kernel"]
    return {name for name in sizes if re.search(r"_(rows|s8)$", name)}


def test_every_kernel_has_a_layer_or_is_named_as_having_none() -> None:
    assert kernels() == set(FAMILIES) | WITHOUT
    assert not set(FAMILIES) & WITHOUT


@pytest.mark.parametrize("function", FAMILIES)
def test_a_layer_brings_its_kernel_and_is_small(function: str) -> None:
    (vector,) = (v for v in all_vectors() if v.name == FAMILIES[function][0])
    assert function in vector.functions
    assert len(vector.name) <= 15 and vector.plan.total_bytes <= BYTES_MAX
    assert vector.bytes < 1500


def test_names_differ_and_a_net_gets_the_layers_of_its_own_kernels() -> None:
    names = [v.name for v in all_vectors()]
    assert len(set(names)) == len(names) == len(FAMILIES) + 2
    folder = released_model()
    made = plan(graph.load(folder / "model.tflite"), region_specs(load_target("stm32h743")))
    found = {v.name for v in vectors_of(made)}
    assert {"layer conv", "layer depthwise", "layer gate", "pointwise LDRD", "pointwise LDR"} <= found
    assert not found & {"layer softmax", "layer shift max"}


def test_the_timed_layers_differ_in_one_word() -> None:
    timed = [v for v in all_vectors() if v.loads]
    texts = [vector_c(v) for v in timed]
    assert [t.count("DFT_CONV_CODE(k32_" + v.loads + ")") for v, t in zip(timed, texts, strict=True)] == [
        1,
        1,
    ]
    plain = [re.sub(r"(?i)ldrd?", "", t) for t in texts]
    assert plain[0] == plain[1]


def test_files_of_the_self_test_do_not_depend_on_the_net_but_for_the_table() -> None:
    layer = next(v for v in all_vectors() if v.name == "layer conv").plan
    released = plan(graph.load(released_model() / "model.tflite"), region_specs(load_target("stm32h743")))
    nets = [layer, released]
    first, second = (selftest_c(p) for p in nets)
    shared = (first.keys() & second.keys()) - {"dft_proofs.c"}
    assert shared and all(first[name] == second[name] for name in shared)
    assert first["dft_proofs.c"] != second["dft_proofs.c"]


def test_portable_kernels_give_the_oracles_bits(tmp_path: Path) -> None:
    vectors = all_vectors()
    for v in vectors:
        (tmp_path / f"{symbol_of(v)}.c").write_text(vector_c(v), encoding="utf-8")
    symbols = [f"dft_vector_{symbol_of(v)}" for v in vectors]
    text = MAIN.replace("NAMES", ", ".join(symbols)).replace("BYTES_MAX", str(BYTES_MAX))
    (tmp_path / "main.c").write_text(
        text.replace("ADDRESSES", ", ".join(f"&{s}" for s in symbols)), encoding="utf-8"
    )
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("*.c"))}
    needed = [f for f in needed_files(texts.values(), FIRMWARE) if f.endswith(".c") and "/m7/" not in f]
    sources = [*texts, *(FIRMWARE / f for f in needed), FIRMWARE / "src/crc.c"]
    run_tool(["gcc", *FLAGS, "-O0", *INCLUDES, *map(str, sources), "-o", str(tmp_path / "all")])
    done = subprocess.run([tmp_path / "all"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{v.name} 1" for v in vectors]


def test_outputs_are_not_all_alike() -> None:
    """A layer whose output is constant would prove nothing."""
    from dftiny import int8
    from dftiny.codegen.proofs_c import selftest_input

    def spread(v: Vector) -> int:
        x = selftest_input(v.graph.input.nbytes).reshape(1, *v.graph.input.shape[1:])
        return len(np.unique(int8.run(v.graph, x)))

    assert {v.name: n for v in all_vectors() if (n := spread(v)) < 4} == {}
