"""The self-test's made-up layers as C text: a file each, and the table of them. Called by codegen/selftest_c.py.

An answer comes from the oracle, the input from the formula of proofs_c.py. A file is what a model's file is, constants and
schedule, without an engine: the layer runs in one block of memory that the self-test lends it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from dftiny import int8
from dftiny.codegen.guard import banner
from dftiny.codegen.model_c import includes_c, schedule_c
from dftiny.codegen.proofs_c import selftest_input
from dftiny.vectors import REGION, Vector


def vector_c(vector: Vector) -> str:
    """Text of dft_vector_<symbol>.c. Its statics have names of their own, so that a tool that reads the linked firmware
    (stack.py) can tell them from the model's."""
    symbol, made = symbol_of(vector), vector.plan
    graph = vector.graph
    x = selftest_input(graph.input.nbytes)
    y = int8.run(graph, x.reshape(1, *graph.input.shape[1:]))
    ends = {"in": graph.inputs[0], "out": graph.outputs[0]}
    places = [
        f"    .{end} = {made.of(t).offset}, .{end}_bytes = {graph.tensors[t].nbytes},"
        for end, t in ends.items()
    ]
    return "\n".join(
        [
            banner(f"a made-up layer of the self-test: {vector.name}"),
            *includes_c(made),
            '#include "dft/proofs.h"\n',
            *schedule_c(made, [REGION], prefix=f"vector_{symbol}_"),
            f"const dft_vector dft_vector_{symbol} = {{",
            f'    .name = "{vector.name}",',
            f"    .run = vector_{symbol}_run,",
            f"    .bytes = {made.total_bytes},",
            *places,
            f"    .sum = 0x{zlib.crc32(y.tobytes()):08X}u,",
            "};",
            "",
        ]
    )


def table_c(vectors: Sequence[Vector]) -> str:
    """`vectors`, a table of pointers. Those that are timed differ on a Cortex-M with DSP instructions alone."""
    if not vectors:
        return "static const dft_vector *const vectors[] = {0};\n"
    plain = [symbol_of(v) for v in vectors if not v.loads]
    timed = [symbol_of(v) for v in vectors if v.loads]
    names = ", ".join(f"dft_vector_{s}" for s in (*plain, *timed))
    lines = [f"    &dft_vector_{s}," for s in plain]
    if timed:
        lines += ["#if defined(__ARM_FEATURE_DSP)", *(f"    &dft_vector_{s}," for s in timed), "#endif"]
    return "\n".join(
        [
            f"extern const dft_vector {names};",
            "static const dft_vector *const vectors[] = {",
            *lines,
            "    0,",
            "};",
            "",
        ]
    )


def symbol_of(vector: Vector) -> str:
    """The name as C may spell it."""
    return vector.name.lower().replace(" ", "_")
