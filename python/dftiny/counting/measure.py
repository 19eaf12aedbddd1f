"""tools/counts' work on one model: engine → image → QEMU → counts, compared with TFLM."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dftiny import graph, int8
from dftiny.counting import cycles, profile
from dftiny.counting.cores import PAIRED_LOADS, Core
from dftiny.counting.engine import OpFacts, generate
from dftiny.counting.image import build
from dftiny.counting.listing import disassemble
from dftiny.counting.run import REST, Trace, run
from dftiny.export import tflm
from dftiny.graph import Graph, total_macs
from dftiny.plan import DEFAULT_WISHES, Wishes
from dftiny.target import Target

CHANNEL_BYTES = 6  # of constants beyond weights and biases, an output channel: what a PhiNet is allowed
HOTTEST = 20  # pieces of code that are kept with the counts
_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class OpCounts:
    """An operator's share of one inference. `cycles_modelled` is None without llvm-mca."""

    index: int
    name: str
    kind: str
    macs: int
    instructions: int
    cycles_modelled: int | None


@dataclass(frozen=True)
class Counts:
    """All figures of one model. Sizes in bytes: `code_bytes` of the generated file, kernels and engine, `const_bytes`
    of their read-only data beyond the model's own weights and biases (`weight_bytes`); `ram_bytes` of the lent
    regions. `output_channels` are those of the layers with weights; `table_bytes` belong to tables of pointwise functions,
    `wide_bytes` to weights laid out wider than int8; both lie within `const_bytes`. `rest` are the engine's instructions behind its last operator; `highest` the most that any input took."""

    model: str
    core: str
    target: str
    misfit: str
    macs: int
    instructions: int
    highest: int
    rest: int
    ops: tuple[OpCounts, ...]
    classes: Mapping[str, int]
    functions: Mapping[str, int]
    spills: int
    spills_of: Mapping[str, int]
    cycles_modelled: int | None
    cycles_guessed_blocks: int
    hot: tuple[profile.Hot, ...]
    code_bytes: int
    const_bytes: int
    weight_bytes: int
    wide_bytes: int
    output_channels: int
    table_bytes: int
    ram_bytes: int
    lower_bound_bytes: int
    stack_bytes: int
    inputs: int
    compared_with: str
    bit_exact: bool
    paired_loads: bool = False

    @property
    def const_allowed_bytes(self) -> int:
        """What constants beyond weights and biases may take, wide weights left out."""
        return CHANNEL_BYTES * self.output_channels + self.table_bytes

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the baseline."""
        return {**asdict(self), "const_allowed_bytes": self.const_allowed_bytes}


def inputs_for(found: Graph, n: int) -> np.ndarray:
    """int8[n, H, W, C]: random, all −128, all 127, both in turn, then more random ones."""
    shape = found.input.shape[1:]
    turns = np.full(shape, 127, np.int8).reshape(-1)
    turns[::2] = -128
    rng = np.random.default_rng(0)
    special = [np.full(shape, -128), np.full(shape, 127), turns.reshape(shape)]
    random = [rng.integers(-128, 128, shape) for _ in range(max(1, n - len(special)))]
    return np.array([random[0], *special, *random[1:]][:n]).astype(np.int8)


def measure(
    model: bytes,
    name: str,
    core: Core,
    target: Target,
    n: int = 4,
    wishes: Wishes = DEFAULT_WISHES,
    kept: Path | None = None,
) -> Counts:
    """Count `n` inferences of the .tflite file `model` on `core`, planned for `target`. `kept`: see image.build."""
    found = graph.load(model, name=name)
    engine = generate(found, target, wishes)
    inputs = inputs_for(found, n)
    with tempfile.TemporaryDirectory(prefix="dftiny-counts-") as temporary:
        folder = Path(temporary)
        image = build(engine, core, folder, kept)
        trace = run(image, core, inputs, folder)
        listing = disassemble(image.elf)
    straights = profile.straights(listing, trace.blocks)
    shares = profile.shares(straights)
    modelled = _cycles(straights, core)
    oracle, expected = _expected(model, found, inputs)
    weights = weight_bytes(found)
    return Counts(
        model=name,
        core=core.name,
        target=target.name,
        misfit=engine.misfit,
        macs=total_macs(found),
        instructions=trace.instructions,
        highest=trace.highest,
        rest=trace.ops[REST],
        ops=tuple(_op(o, trace, modelled) for o in engine.ops),
        classes=shares.classes,
        functions=shares.functions,
        spills=sum(shares.spills.values()),
        spills_of=shares.spills,
        cycles_modelled=None if modelled is None else round(sum(modelled.by_op.values())),
        cycles_guessed_blocks=0 if modelled is None else modelled.guessed,
        hot=profile.hottest(straights, modelled, HOTTEST),
        code_bytes=image.code_bytes,
        const_bytes=image.rodata_bytes - weights,
        weight_bytes=weights,
        wide_bytes=engine.wide_bytes,
        output_channels=output_channels(found),
        table_bytes=engine.table_bytes,
        ram_bytes=trace.region_bytes,
        lower_bound_bytes=engine.lower_bound_bytes,
        stack_bytes=trace.stack_bytes,
        inputs=n,
        compared_with=oracle,
        bit_exact=bool(np.array_equal(trace.outputs, expected.reshape(n, -1))),
        paired_loads=PAIRED_LOADS in core.flags,
    )


def _op(facts: OpFacts, trace: Trace, modelled: profile.Modelled | None) -> OpCounts:
    cycles_modelled = None if modelled is None else round(modelled.by_op.get(facts.index, 0.0))
    instructions = trace.ops.get(facts.index, 0)
    return OpCounts(facts.index, facts.name, facts.kind, facts.macs, instructions, cycles_modelled)


def _cycles(found: list[profile.Straight], core: Core) -> profile.Modelled | None:
    """None without llvm-mca."""
    tool = cycles.find_mca()
    return None if tool is None else profile.cycles(found, cycles.Estimator(tool, core, cycles.cache_path()))


def _expected(model: bytes, found: Graph, inputs: np.ndarray) -> tuple[str, np.ndarray]:
    """Whose outputs, and the outputs: TFLM's, or the oracle's where TFLM's wheel is not installed."""
    if tflm.available():
        return "TFLM", tflm.run_tflm(model, inputs)
    return "the oracle (tflite-micro is not installed)", int8.run(found, inputs)


def output_channels(found: Graph) -> int:
    """Channels, summed over the outputs of convolutions and fully connected layers."""
    return sum(found.tensors[op.outputs[0]].shape[-1] for op in found.ops if op.kind in _PRODUCTS)


def weight_bytes(found: Graph) -> int:
    """Bytes of the weights and biases of the model's convolutions and fully connected layers."""
    tensors = {t for op in found.ops if op.kind in _PRODUCTS for t in op.inputs[1:] if t >= 0}
    return sum(found.tensors[t].nbytes for t in tensors if found.tensors[t].data is not None)
