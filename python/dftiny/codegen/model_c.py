"""A plan → dft_model.c and dft_model.h: constants, parameter structs, lanes, scripts and the run function.

No floats, no time, no path: equal input gives equal bytes. The file defines `dft_the_engine` (name "aot") and
refuses kernels of another version. kernels/count.py counts what the file's constants take on a 32-bit chip, for
the budget, without a compiler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from dftiny.codegen.c_text import Members, constant, int_array, struct
from dftiny.codegen.guard import banner, kernels_version
from dftiny.codegen.segments_c import more_operands, segments_c
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.kernels.calls import STRUCT_BYTES, Call, Const, Field, Fields
from dftiny.kernels.count import distinct_constants, kernel_headers, runs
from dftiny.kernels.rows import RowCall
from dftiny.plan import Placement, Plan, PlannedSegment

MAX_REGIONS = 4  # DFT_AOT_REGIONS_MAX
Names = Mapping[tuple[str, bytes], str]


def model_c(
    graph: Graph, plan: Plan, *, bundle_digest: bytes, aligns: Mapping[str, int] | None = None
) -> dict[str, str]:
    """{"dft_model.c": text, "dft_model.h": text} for `graph` laid out by `plan`.

    `bundle_digest` is 32 bytes; `aligns` the alignment of each region (default 32). Raises DftError naming an
    operator the engine cannot run.
    """
    if len(bundle_digest) != 32:
        raise ValueError(f"a bundle digest has 32 bytes, not {len(bundle_digest)}")
    regions = list(plan.region_bytes)
    if len(regions) > MAX_REGIONS:
        raise DftError(
            f"{graph.name} is spread over {len(regions)} memory regions, the engine knows {MAX_REGIONS}"
        )
    parts = [
        banner("constants and schedule of one model"),
        '#include "dft_model.h"\n',
        *includes_c(plan),
        int_array("uint8_t", "digest", np.frombuffer(bundle_digest, np.uint8)),
        *schedule_c(plan, regions),
        _engine(graph, plan, regions, aligns or {}),
    ]
    return {"dft_model.c": "\n".join(parts), "dft_model.h": _header(graph, plan)}


def includes_c(plan: Plan) -> list[str]:
    """What a file with the schedule of `plan` includes, and its guards."""
    return [
        '#include "dft_aot.h"',
        '#include "dft_kernels.h"',
        *(f'#include "{header}"' for header in kernel_headers(plan)),
        '#include "dft_run.h"\n',
        _guards(plan),
    ]


def schedule_c(plan: Plan, regions: Sequence[str], prefix: str = "") -> list[str]:
    """Constants k<n>, parameters p<lane>, lanes l<n>, scripts s<n>, segments g<n> and the function `run`, all static, with `prefix` before their names; `regions` in the order in which `run` is given their bases."""
    constants = distinct_constants(plan)
    names = {key: f"{prefix}k{i}" for i, key in enumerate(constants)}
    return [
        *(constant(names[key], const) for key, const in constants.items()),
        *_all_params(plan, names, regions, prefix),
        segments_c(plan, regions, prefix),
        _run(plan, names, regions, prefix),
    ]


def _guards(plan: Plan) -> str:
    version = kernels_version()
    lines = [
        f"#if DFT_KERNELS_VERSION != {version}",
        '#error "this model was generated for other kernels: export the bundle again"',
        "#endif",
        "/* The budget counts these sizes on 32-bit chips. */",
    ]
    used = {c.struct for lane in plan.lanes for c in lane.whole}
    used |= {lane.call.struct for lane in plan.lanes if lane.call}
    used |= {"dft_lane", "dft_segment"}
    lines += [
        f'_Static_assert(sizeof(void *) != 4 || sizeof({s}) == {STRUCT_BYTES[s]}, "{s}");'
        for s in sorted(used)
    ]
    return "\n".join(lines) + "\n"


def _all_params(plan: Plan, names: Names, regions: Sequence[str], prefix: str) -> list[str]:
    """Every parameter struct: p<lane> of a row kernel, p<lane>_<n> of whole-tensor calls."""
    out = []
    place = {p.tensor: p for p in plan.placements}
    for lane in plan.lanes:
        if lane.call is not None:
            more = more_operands(lane, place, regions)
            out.append(_params(f"{prefix}p{lane.index}", lane.call, names, more))
        out += [_params(f"{prefix}p{lane.index}_{n}", call, names) for n, call in enumerate(lane.whole)]
    return out


def _params(name: str, call: Call | RowCall, names: Names, more: tuple[str, ...] = ()) -> str:
    """With `more`, the struct is the member p of one that holds those in front of it."""
    pointers = tuple((member, names[const.key]) for member, const in call.pointers)
    members: Members = (*call.fields, *pointers)
    if not more:
        return struct(call.struct, name, members)
    both = f"struct {{\n    dft_rows_at more[{len(more)}];\n    {call.struct} p;\n}}"
    return struct(both, name, (("more", cast(Field, more)), ("p", cast(Fields, members))))


def _run(plan: Plan, names: Names, regions: Sequence[str], prefix: str) -> str:
    """The straight-line function: a segment a line, or the whole-tensor calls of one operator and its hook."""
    place = {p.tensor: p for p in plan.placements}
    body: list[str] = []
    for number, run in enumerate(runs(plan)):
        if run[0].lanes[0].call is not None:
            body.append(f"    dft_run_segment(&{prefix}g{number}, base);")
        else:
            body += _whole(run[0], place, names, regions, prefix)
    return "\n".join([f"static void {prefix}run(int8_t *const *base)", "{", *body, "}"]) + "\n"


def _whole(
    segment: PlannedSegment,
    place: Mapping[int, Placement],
    names: Names,
    regions: Sequence[str],
    prefix: str,
) -> list[str]:
    (lane,) = segment.lanes
    out = []
    for n, call in enumerate(lane.whole):
        pointers = [
            names[t.key] if isinstance(t, Const) else _at(place[t], regions)
            for t in (*call.inputs, call.output)
        ]
        out.append(f"    {call.function}(&{prefix}p{lane.index}_{n}, {', '.join(pointers)});")
    return [*out, f"    dft_aot_done({lane.step.op.index});"]


def _at(p: Placement, regions: Sequence[str]) -> str:
    return f"base[{regions.index(p.region)}] + {p.offset}"


def _engine(graph: Graph, plan: Plan, regions: Sequence[str], aligns: Mapping[str, int]) -> str:
    place = {p.tensor: p for p in plan.placements}
    needs = "\n".join(f'    {{"{r}", {plan.region_bytes[r]}, {aligns.get(r, 32)}}},' for r in regions)
    ends = []
    for t in (graph.inputs[0], graph.outputs[0]):
        if t == graph.inputs[0] and _by_rows(graph, plan):  # taken row by row: nowhere whole
            ends.append(f"{{DFT_NO_REGION, 0, {graph.tensors[t].nbytes}}}")
            continue
        p = place[t]
        ends.append(f"{{{regions.index(p.region)}, {p.offset}, {graph.tensors[t].nbytes}}}")
    return f"""static const dft_region_need needs[{len(regions)}] = {{
{needs}
}};

static const dft_aot_model model = {{
    .needs = needs,
    .needs_n = {len(regions)},
    .in = {ends[0]},
    .out = {ends[1]},
    .run = run,
}};

static dft_status open(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out)
{{
    return dft_aot_open(&model, regions, n, in, out);
}}

const dft_engine dft_the_engine = {{
    .name = "aot",
    .bundle_digest = digest,
    .needs = needs,
    .needs_n = {len(regions)},
    .ops_n = {len(graph.operators)},
    .open = open,
    .invoke = dft_aot_invoke,
    .memory_used = dft_aot_memory_used,
    .set_hook = dft_aot_set_hook,
    .set_probe = dft_aot_set_probe,
    .set_reader = {"dft_aot_set_reader" if _by_rows(graph, plan) else "0"},
}};
"""


def _by_rows(graph: Graph, plan: Plan) -> bool:
    """The input is taken row by row."""
    return plan.prepared.steps[0].writes == graph.inputs[0]


def _header(graph: Graph, plan: Plan) -> str:
    regions = "\n".join(
        f"#define DFT_MODEL_{name.upper()}_BYTES {n}u" for name, n in plan.region_bytes.items()
    )
    return f"""{banner("sizes of one model, for firmware that uses it as a library")}
#ifndef DFT_MODEL_H
#define DFT_MODEL_H

#include "dft/engine.h" /* the model is dft_the_engine: open, invoke */

#define DFT_MODEL_INPUT_BYTES {graph.input.nbytes}u
#define DFT_MODEL_OUTPUT_BYTES {graph.output.nbytes}u
#define DFT_MODEL_OPS {len(graph.operators)}u
{regions}

#endif
"""
