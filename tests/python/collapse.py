"""int8 collapses made on purpose, in ONNX: one channel of a layer scaled up, what reads it scaled down.

As in nets whose training left one channel far larger than the others: float computes the same, int8 spends its steps on
that channel. Written without dftiny.diagnose, whose answers it judges. For tests and collapse_campaign.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

# Between a layer and its reader: what scales with its input, channel by channel.
THROUGH = (
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "ReduceMean",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Pad",
)


@dataclass(frozen=True)
class Site:
    """A layer and the one layer that reads it. `channels` of the first; weights and bias by initialiser name."""

    layer: str
    channels: int
    weights: str
    bias: str | None
    reader: str
    reader_kind: str
    reader_weights: str


def load(path: Path) -> Any:
    """The ONNX model at `path`."""
    return onnx.load(str(path))


def constant(model: Any, name: str) -> np.ndarray:
    """An initialiser's values."""
    value: np.ndarray = numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == name))
    return value


def sites(model: Any) -> list[Site]:
    """All pairs of layers between which a channel can be scaled without anybody noticing in float."""
    known = {i.name for i in model.graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in known:
            continue
        reader = _reader(node, readers)
        if reader is not None and reader.input[1] in known:
            weights = constant(model, node.input[1])
            bias = node.input[2] if len(node.input) > 2 else None
            found.append(
                Site(
                    node.name, len(weights), node.input[1], bias, reader.name, _kind(reader), reader.input[1]
                )
            )
    return found


def _reader(node: Any, readers: dict[str, list[Any]]) -> Any | None:
    """The only layer behind `node`, through what scales along; None where somebody else reads it too."""
    while True:
        behind = readers.get(node.output[0], [])
        if len(behind) != 1 or behind[0].input[0] != node.output[0]:
            return None
        node = behind[0]
        if node.op_type in ("Conv", "Gemm"):
            return node if _kind(node) else None
        if node.op_type not in THROUGH:
            return None


def _kind(node: Any) -> str:
    """ "depthwise", "conv" or "gemm"; "" for a grouped convolution."""
    if node.op_type == "Gemm":
        return "gemm"
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return "conv" if groups == 1 else "depthwise" if groups > 1 else ""


def collapse(model: Any, site: Site, channel: int, factor: float) -> Any:
    """A copy of `model` with `channel` of `site` scaled by `factor` and its reader's weights by 1 / factor."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    w, r = constant(model, site.weights).copy(), constant(model, site.reader_weights).copy()
    w[channel] *= factor
    if site.reader_kind == "depthwise":
        per = len(r) // site.channels  # outputs a channel
        r[channel * per : (channel + 1) * per] /= factor
    else:
        step = r.shape[1] // site.channels  # 1, or the pixels of a flattened map [C, H, W]
        r[:, channel * step : (channel + 1) * step] /= factor
    changed = {site.weights: w, site.reader_weights: r}
    if site.bias is not None:
        b = constant(model, site.bias).copy()
        b[channel] *= factor
        changed[site.bias] = b
    for i in made.graph.initializer:
        if i.name in changed:
            i.CopyFrom(numpy_helper.from_array(changed[i.name].astype(np.float32), i.name))
    return made


def shared(model: Any, site: Site) -> bool:
    """Whether somebody else uses the constants of `site`: then it cannot be damaged alone."""
    names = [n for node in model.graph.node for n in node.input]
    return any(names.count(n) > 1 for n in (site.weights, site.reader_weights, site.bias) if n)


def same_weights(candidates: Sequence[np.ndarray], wanted: np.ndarray) -> int | None:
    """Which of the candidates holds the numbers of `wanted`, in whatever order; None where none does."""
    key = np.sort(wanted, axis=None)
    for i, value in enumerate(candidates):
        if value.size == wanted.size and np.allclose(np.sort(value, axis=None), key, rtol=1e-4, atol=0):
            return i
    return None
