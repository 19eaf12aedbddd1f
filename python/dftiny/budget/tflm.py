"""TensorFlow Lite Micro's need: the file as it is in flash, one arena in one region. Its code has no size here unless
a firmware linked with it is given: TFLM is a library that the user brings. Called by budget/__init__.py.
"""

from __future__ import annotations

import numpy as np

from dftiny.budget.need import EngineNeed
from dftiny.budget.tflm_arena import tflm_arena
from dftiny.code_size import load_code_sizes
from dftiny.graph import Graph
from dftiny.kernels.count import ConstBytes
from dftiny.target import Target

# What CMSIS-NN's kernels ask for beside the reference kernels' scratch, at most: 48 to 672 bytes on our nets.
CMSIS_NN_BYTES = 1024
_NOTES = (
    "TFLM's arena is that of its reference kernels; CMSIS-NN's ask for a few hundred bytes more or less of scratch",
    "TFLM's code and its interpreter's statics are not counted: give --elf with a firmware linked with it",
)


def tflm_need(graph: Graph, target: Target, file_bytes: int) -> EngineNeed:
    """The need of `graph` as it stands in its file of `file_bytes`. DftError for an operator without a size."""
    arena = tflm_arena(graph)
    # The engine is lent one piece, in the first region that has room for it (codegen/needs.py).
    fitting = [r for r in target.arena_regions if r.bytes - r.stack_bytes >= arena.needed + CMSIS_NN_BYTES]
    home = fitting[0] if fitting else max(target.arena_regions, key=lambda r: r.bytes - r.stack_bytes)
    room = home.bytes - home.stack_bytes
    reasons: tuple[str, ...] = ()
    if arena.needed > room:
        reasons = (
            f"needs {arena.needed:,} bytes of arena in one piece, region {home.name} has {room:,}: "
            f"{arena.needed - room:,} bytes too many",
        )
    return EngineNeed(
        arenas={home.name: arena.needed},
        activations=arena.head,
        lower_bound=max(arena.live.values()),
        base=load_code_sizes().base_of(target.name),
        code=None,
        code_from="unknown",
        const=_const(graph, file_bytes),
        op_const=_op_const(graph),
        op_live=arena.live,
        reasons=reasons,
        notes=_NOTES,
        plan=None,
    )


def _const(graph: Graph, file_bytes: int) -> ConstBytes:
    """The file's parts: int8 constants, int32 ones (biases), and its tables around them."""
    held = {t.data.ctypes.data: t for t in graph.tensors if t.data is not None}  # tensors may share a buffer
    weights = sum(t.nbytes for t in held.values() if t.dtype == np.int8)
    channels = sum(t.nbytes for t in held.values() if t.dtype != np.int8)
    return ConstBytes(weights, channels, 0, max(-(-file_bytes // 16) * 16 - weights - channels, 0))


def _op_const(graph: Graph) -> dict[int, int]:
    """Bytes of constants by operator, each with the first that reads it."""
    seen: set[int] = set()
    out: dict[int, int] = {}
    for op in graph.operators:
        mine = {t for t in op.inputs if t >= 0 and graph.tensors[t].data is not None} - seen
        seen |= mine
        out[op.index] = sum(graph.tensors[t].nbytes for t in mine)
    return out
