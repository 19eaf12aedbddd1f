"""dft_depthwise_rows against the oracle: the portable twin with sanitizers, the Cortex-M7 twin under unicorn."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from arm_model import CPU
from host_model import FIRMWARE, run_tool
from row_harness import Case, Harness

from dftiny import int8
from dftiny.graph import (
    DepthwiseOptions,
    Graph,
    Op,
    PadOptions,
    Quant,
    TableOptions,
    Tensor,
    macs,
    window_out,
)
from dftiny.kernels.rows import Choice
from dftiny.plan.lanes import LaneMaker
from dftiny.steps import steps

KIND = "DEPTHWISE_CONV_2D"
OUT_SCALE = 0.04  # ReLU6 then ends within int8 for some zero points, behind it for others


@dataclass(frozen=True)
class Layer:
    """One layer. `size` H, W, channels; `pad` top, bottom, left, right of a PAD in front, or None; `spread`: how far
    apart the channels' scales lie; `linear`: output zero point away from −128."""

    size: tuple[int, int, int]
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    multiplier: int = 1
    activation: str = "NONE"
    pad: tuple[int, int, int, int] | None = None
    table: bool = False
    linear: bool = True
    spread: float = 2.0
    rows: int = 0
    block: int = 0


def graph_of(layer: Layer, seed: int) -> Graph:
    """PAD, where there is one, the depthwise convolution, and TABLE."""
    rng = np.random.default_rng(seed)
    h, w, c = layer.size
    x_zero, y_zero = int(rng.integers(-128, 128)), int(rng.integers(-90, 90)) if layer.linear else -128
    top, bottom, left, right = layer.pad or (0, 0, 0, 0)
    size = (h + top + bottom, w + left + right)
    pairs = zip(size, layer.kernel, layer.stride, strict=True)
    out = (1, *(window_out(n, k, s, layer.padding) for n, k, s in pairs), c * layer.multiplier)
    tensors = [_map(0, (1, h, w, c), 1.0, x_zero), _map(1, (1, *size, c), 1.0, x_zero)]
    tensors += [*_constants(layer, rng), _map(4, out, OUT_SCALE, y_zero), _map(5, out, OUT_SCALE, y_zero)]
    options = DepthwiseOptions(*layer.stride, 1, 1, layer.padding, layer.activation, layer.multiplier)  # type: ignore[arg-type]
    ops = [Op(0, "PAD", (0,), (1,), PadOptions((0, top, left, 0), (0, bottom, right, 0)))]
    ops = [*ops[: bool(layer.pad)], Op(0, KIND, (bool(layer.pad) + 0, 2, 3), (4,), options)]
    if layer.table:
        ops.append(Op(0, "TABLE", (4,), (5,), TableOptions(tuple(rng.integers(-128, 128, 256).tolist()))))
    numbered = tuple(replace(op, index=i) for i, op in enumerate(ops))
    return Graph("layer", tuple(tensors), numbered, (0,), (5 if layer.table else 4,))


def _constants(layer: Layer, rng: np.random.Generator) -> list[Tensor]:
    """Weights and bias; scales such that outputs fill int8, `spread` apart."""
    channels, taps = layer.size[2] * layer.multiplier, layer.kernel[0] * layer.kernel[1]
    weights = rng.integers(-127, 128, (1, *layer.kernel, channels)).astype(np.int8)
    reach = 70 * 60 * np.sqrt(taps)
    bias = rng.integers(-int(reach), int(reach) + 1, channels).astype(np.int32)
    scales = (45 * OUT_SCALE / reach * layer.spread ** rng.uniform(-1, 1, channels)).astype(np.float32)
    quant = Quant(scales, np.zeros(channels, np.int64), 3)
    return [
        Tensor(2, "w", weights.shape, weights.dtype, quant, weights),
        Tensor(3, "b", bias.shape, bias.dtype, None, bias),
    ]


def _map(index: int, shape: tuple[int, ...], scale: float, zero: int) -> Tensor:
    quant = Quant(np.array([scale], np.float32), np.array([zero]), 0)
    return Tensor(index, f"t{index}", shape, np.dtype(np.int8), quant, None)


def case_and_result(layer: Layer, seed: int) -> tuple[Case, np.ndarray]:
    """The layer as a row kernel with a random input, and what the oracle says of it, int8[rows, bytes]."""
    graph = graph_of(layer, seed)
    x = np.random.default_rng(seed + 1).integers(-128, 128, (1, *layer.size)).astype(np.int8)
    maker = LaneMaker(steps(graph))
    assert len(maker) == 1
    lane = maker.lane(0, Choice(rows=layer.rows, block=layer.block))
    assert lane.step.pad == (layer.pad or (0, 0, 0, 0))
    assert (lane.step.table is not None) == layer.table
    want = int8.run(graph, x)[0].reshape(lane.shape.rows, lane.shape.row_bytes)
    assert len(np.unique(want)) > 3
    return Case(lane, (x[0].reshape(layer.size[0], -1),)), want


LAYERS = [
    Layer((7, 9, 5)),
    Layer((8, 8, 8), table=True),
    Layer((6, 5, 4), linear=False, activation="RELU"),
    Layer((5, 1, 3), table=True),
    Layer((1, 1, 9)),
    Layer((3, 5, 1), activation="RELU6"),
    Layer((9, 6, 6), rows=1, table=True),
    Layer((5, 9, 8), rows=1, linear=False),
    Layer((5, 7, 11), rows=1, table=True),
    Layer((1, 12, 4), rows=1),
    Layer((4, 1, 5), rows=1),
    Layer((4, 2, 3), rows=1, multiplier=2),
    Layer((6, 8, 5), rows=1, padding="VALID", table=True),
    Layer((5, 6, 8), rows=1, pad=(2, 1, 2, 3), padding="VALID"),
    Layer((6, 9, 4), stride=(3, 1), table=True),
    Layer((9, 10, 7), padding="VALID", linear=False),
    Layer((7, 8, 6), pad=(1, 0, 0, 1), padding="VALID", table=True),
    Layer((5, 6, 4), pad=(2, 2, 2, 2), padding="VALID"),
    Layer((6, 7, 4), pad=(0, 1, 3, 5), padding="VALID", table=True),
    Layer((6, 7, 3), multiplier=2, activation="RELU6"),
    Layer((6, 7, 7), multiplier=3, table=True),
    Layer((8, 8, 8), stride=(2, 2), table=True),
    Layer((9, 7, 5), stride=(2, 2), linear=False),
    Layer((8, 13, 9), stride=(2, 2), pad=(1, 1, 1, 1), padding="VALID", table=True),
    Layer((8, 11, 3), stride=(2, 2), pad=(0, 1, 0, 1), padding="VALID"),
    Layer((8, 2, 4), stride=(2, 2)),
    Layer((8, 19, 4), stride=(2, 2), pad=(1, 0, 2, 2), padding="VALID", linear=False),
    Layer((7, 1, 2), stride=(2, 2)),
    Layer((9, 9, 4), stride=(2, 2), padding="VALID"),
    Layer((8, 12, 6), stride=(2, 2), rows=1, table=True),
    Layer((9, 7, 5), stride=(2, 2), rows=1, linear=False),
    Layer((10, 14, 8), stride=(2, 2), linear=False),
    Layer((9, 22, 8), stride=(2, 2), pad=(1, 1, 1, 1), padding="VALID", table=True),
    Layer((10, 21, 5), stride=(2, 2), pad=(2, 2, 3, 2), padding="VALID"),
    Layer((11, 17, 4), stride=(2, 2), pad=(0, 2, 2, 4), padding="VALID", linear=False),
    Layer((5, 3, 6), stride=(2, 2), pad=(1, 1, 2, 0), padding="VALID", table=True),
    Layer((1, 6, 4), stride=(2, 2), pad=(2, 2, 1, 1), padding="VALID"),
    Layer((6, 11, 7), stride=(2, 2), multiplier=3, table=True),
    Layer((9, 9, 6), stride=(1, 2), multiplier=2, table=True),
    Layer((9, 9, 6), stride=(2, 1), multiplier=2),
    Layer((9, 9, 6), kernel=(5, 5), table=True),
    Layer((9, 9, 6), kernel=(5, 1)),
    Layer((9, 9, 6), kernel=(1, 5), multiplier=3, table=True),
    Layer((9, 10, 8), kernel=(3, 1), stride=(2, 1), multiplier=4),
    Layer((9, 10, 8), kernel=(1, 3), stride=(1, 2), multiplier=2, linear=False, activation="RELU6"),
    Layer((9, 10, 5), kernel=(3, 1), stride=(2, 1), multiplier=2),
    Layer((9, 11, 6), kernel=(1, 3), multiplier=4),
    Layer((9, 11, 6), kernel=(1, 3), stride=(1, 2), multiplier=2, linear=False),
    Layer((9, 12, 3), kernel=(3, 1), multiplier=6, linear=False, activation="RELU"),
    Layer((9, 7, 6), kernel=(1, 3), table=True),
    Layer((9, 7, 6), kernel=(3, 1), linear=False),
    Layer((9, 2, 6), kernel=(3, 1)),
    Layer((9, 1, 6), kernel=(5, 1), multiplier=2, table=True),
    Layer((9, 8, 6), kernel=(1, 2)),
    Layer((9, 9, 6), kernel=(4, 2), stride=(2, 2)),
    Layer((7, 7, 4), kernel=(7, 7), stride=(3, 3)),
    Layer((7, 20, 5), kernel=(7, 6), block=1, table=True),
    Layer((9, 30, 7), kernel=(4, 4), stride=(2, 2), block=1, linear=False),
    Layer((9, 12, 4), kernel=(5, 5), multiplier=2, linear=False),
    Layer((6, 6, 12), spread=300.0, table=True),
    Layer((6, 6, 12), spread=300.0, stride=(2, 2)),
]


def test_fewer_channels_at_once_are_less_scratch() -> None:
    layer = Layer((7, 20, 40), kernel=(7, 6))
    sizes = [case_and_result(replace(layer, block=n), 7)[0].lane.scratch_bytes for n in (1, 4, 8, 16, 0)]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] == sizes[4]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_both_twins_equal_the_oracle(harness: Harness, layer: Layer) -> None:
    print(layer)
    case, want = case_and_result(layer, 7)
    np.testing.assert_array_equal(harness.host(case)[0], want)
    np.testing.assert_array_equal(harness.arm(case)[0], want)


def random_layer(seed: int) -> Layer:
    rng = np.random.default_rng(seed)

    def pick(*values):
        return values[int(rng.integers(len(values)))]

    kernel = pick((3, 3), (3, 3), (3, 3), (5, 5), (3, 1), (1, 3), (5, 1), (1, 5), (2, 3), (4, 1))
    padding = pick("SAME", "SAME", "VALID")
    pad = tuple(int(v) for v in rng.integers(0, 3, 4)) if padding == "VALID" else None
    pad = pad and (min(pad[0], kernel[0] - 1), min(pad[1], kernel[0] - 1), *pad[2:])
    return Layer(
        size=(
            int(rng.integers(kernel[0], 9)),
            int(rng.integers(kernel[1] + 2, 22)),
            int(rng.integers(3, 14)),
        ),
        kernel=kernel,
        stride=(pick(1, 1, 2), pick(1, 1, 2, 2, 3)),
        padding=padding,
        multiplier=pick(1, 1, 1, 2, 3, 4),
        activation=pick("NONE", "NONE", "RELU", "RELU6"),
        pad=pad,
        table=pick(True, False),
        linear=pick(True, True, False),
        spread=pick(1.0, 2.0, 5.0),
        rows=pick(0, 0, 1),
    )


@pytest.mark.parametrize("seed", range(30))
def test_random_layers(harness: Harness, seed: int) -> None:
    test_both_twins_equal_the_oracle(harness, random_layer(seed))


@pytest.mark.parametrize("seed", range(100, 125))
def test_random_layers_of_stride_2(harness: Harness, seed: int) -> None:
    layer = random_layer(seed)
    h, w, c = layer.size
    size = (max(h, 3), max(w, 3), c)
    test_both_twins_equal_the_oracle(harness, replace(layer, size=size, kernel=(3, 3), stride=(2, 2)))


# Instructions a MAC, all events of the layer counted: what was reached and 2 %.
REACHED = [
    (Layer((16, 64, 8), table=True), 1.99),
    (Layer((16, 64, 8), linear=False), 1.73),
    (Layer((8, 8, 64), table=True), 2.31),
    (Layer((16, 64, 8), rows=1, table=True), 2.4),
    (Layer((16, 64, 8), stride=(2, 2), table=True), 2.65),
    (Layer((16, 64, 8), stride=(2, 2), linear=False), 2.39),
    (Layer((8, 14, 64), stride=(2, 2), linear=False), 2.96),
    (Layer((16, 64, 8), stride=(2, 2), rows=1, table=True), 3.12),
    (Layer((8, 128, 3), multiplier=2, linear=False), 1.78),
    (Layer((8, 112, 6), kernel=(3, 1), stride=(2, 1), multiplier=2), 4.4),
    (Layer((8, 112, 6), kernel=(1, 3), stride=(1, 2), multiplier=2, linear=False), 4.4),
    (Layer((7, 14, 32), kernel=(5, 1)), 4.92),
    (Layer((7, 14, 32), kernel=(1, 5)), 5.04),
]


@pytest.mark.parametrize(("layer", "limit"), REACHED, ids=str)
def test_few_instructions(harness: Harness, layer: Layer, limit: float) -> None:
    case, want = case_and_result(layer, 1)
    got, instructions = harness.arm(case)
    np.testing.assert_array_equal(got, want)
    per_mac = instructions / macs(graph_of(layer, 1), case.lane.step.op)
    print(f"{layer.size} {layer.kernel} stride {layer.stride} x {layer.multiplier}: {per_mac:.3f}")
    assert 0.9 * limit < per_mac <= limit


def test_assembly_spills_nothing(tmp_path: Path) -> None:
    """Between its first and its last instruction no function touches the stack; every tile is there."""
    tiles = 0
    for source in sorted((FIRMWARE / "kernels" / "m7").glob("depthwise_*.S")):
        target = tmp_path / f"{source.stem}.o"
        run_tool(["arm-none-eabi-gcc", *CPU, "-c", str(source), "-o", str(target)])
        for name, body in functions(target).items():
            inner = [line for line in body if not re.match(r"(stmdb|ldmia\.w)\s+sp!|push|pop", line)]
            assert len(body) - len(inner) <= 2, name
            assert not [line for line in inner if re.search(r"\bsp\b|r13", line)], name
            tiles += bool(re.fullmatch(r"dft_depthwise_(s1|s2|r1|s2r2)_(relu|table)_\d+", name))
    assert tiles == 4 * 2 * 16


def functions(target: Path) -> dict[str, list[str]]:
    """Instructions by function of an object file, as text."""
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(target)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(\w+)>:", line):
            name = head[1]
        elif body := re.match(r"\s*[0-9a-f]+:\s+(.*)", line):
            found.setdefault(name, []).append(body[1])
    return found
