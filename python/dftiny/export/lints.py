"""Constructs that explode in int8, seen in the ONNX model before the slow conversion.

Where another form computes the same, `rewritten` makes it and the lint says so; where only another network helps, the
lint says which one to train. Called by onnx.py (rewrites) and stages.py (the printed lines).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# Producers into which TFLite fuses a ReLU6; behind anything else it stands alone.
_TAKES_RELU6 = ("Conv", "Gemm", "MatMul", "Add", "Sub", "Mul")
_NORMS = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization")
_SMOOTH = ("Erf", "Gelu", "Mish", "Softplus", "Elu", "Selu", "Celu")
MIN_BRANCHES = 3


@dataclass(frozen=True)
class Lint:
    """One finding. `done`: the export rewrites it exactly; otherwise `remedy` is what the author of the net can do."""

    construct: str
    node: str
    why: str
    remedy: str
    done: bool = False

    def line(self) -> str:
        """For people."""
        return f"{self.construct} at {self.node}: {self.why}; {'rewritten' if self.done else 'try'}: {self.remedy}"


@dataclass(frozen=True, eq=False)
class _Wires:
    """Who makes and who reads each value, and the constants, by name."""

    makers: dict[str, Any]
    readers: dict[str, list[Any]]
    constants: dict[str, np.ndarray]

    def alone(self, name: str) -> Any | None:
        """The only reader of `name`."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 else None


def _wires(model: Any) -> _Wires:
    from onnx import numpy_helper

    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for output in model.graph.output:
        readers.setdefault(output.name, []).append(output)
    makers = {name: node for node in model.graph.node for name in node.output}
    return _Wires(makers, readers, {i.name: numpy_helper.to_array(i) for i in model.graph.initializer})


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes as plain values."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def lints(model: Any) -> tuple[Lint, ...]:
    """What `model`, an ONNX model with folded constants, holds of them; in the order of its nodes."""
    wires = _wires(model)
    found: list[Lint] = []
    for node in model.graph.node:
        for rule in (_split_convolution, _int64_gather, _lonely_relu6, _symmetric_stride, _activation, _norm):
            lint = rule(node, wires)
            found += [lint] if lint is not None else []
    return tuple(found)


def _name(node: Any) -> str:
    return str(node.name or node.output[0])


def _int64_gather(node: Any, wires: _Wires) -> Lint | None:
    if node.op_type != "Gather" or node.input[1] not in wires.constants:
        return None
    if wires.constants[node.input[1]].dtype != np.int64:
        return None
    return Lint("int64 indices", _name(node), "TFLM refuses int64 positions", "int32 indices", done=True)


def _lonely_relu6(node: Any, wires: _Wires) -> Lint | None:
    if not is_relu6(node, wires.constants):
        return None
    maker = wires.makers.get(node.input[0])
    if maker is not None and maker.op_type in _TAKES_RELU6 and wires.alone(node.input[0]) is node:
        return None
    behind = "the input" if maker is None else f"{maker.op_type} {_name(maker)}"
    shared = maker is not None and maker.op_type in _TAKES_RELU6
    why = f"it cannot fuse into {behind}" + (", which others read too" if shared else "")
    return Lint(
        "stand-alone ReLU6",
        _name(node),
        f"{why}, and TFLM's own int8 RELU6 ignores the output scale",
        "a 1×1 depthwise convolution of ones before it, into which it fuses",
        done=True,
    )


def is_relu6(node: Any, constants: dict[str, np.ndarray]) -> bool:
    """Clip to 0…6, with constants or attributes for the limits."""
    if node.op_type != "Clip":
        return False
    values = attributes(node)
    limits = [constants.get(n) for n in node.input[1:3]]
    low = values.get("min") if len(limits) < 1 or limits[0] is None else float(limits[0].reshape(-1)[0])
    high = values.get("max") if len(limits) < 2 or limits[1] is None else float(limits[1].reshape(-1)[0])
    return low == 0.0 and high == 6.0


def _symmetric_stride(node: Any, wires: _Wires) -> Lint | None:
    """Of the two padded sides of an even map only one is read, but the padded copy is made whole."""
    values = attributes(node)
    pads, strides = list(values.get("pads", [0] * 4)), list(values.get("strides", [1, 1]))
    if node.op_type != "Conv" or node.input[1] not in wires.constants or len(pads) != 4 or max(strides) < 2:
        return None
    if not any(pads) or pads[:2] != pads[2:]:
        return None
    return Lint(
        "symmetric padding at stride 2",
        _name(node),
        f"pads {pads} are not TFLite's SAME, so a PAD operator copies the map (TFLM pays it in memory; this engine does not)",
        "train with padding (0, 1, 0, 1) in front and padding=0 inside, as dftiny's own nets do",
    )


def _activation(node: Any, wires: _Wires) -> Lint | None:
    if node.op_type == "HardSwish":
        return Lint(
            "hard-swish",
            _name(node),
            "its input range is wide and half of it does nothing, which costs int8 steps",
            "export with --calibration-method best, or train with ReLU6",
        )
    if node.op_type == "Sigmoid" and any(
        getattr(r, "op_type", "") == "Mul" and node.input[0] in r.input
        for r in wires.readers.get(node.output[0], [])
    ):
        return Lint(
            "swish",
            _name(node),
            "x · sigmoid(x) becomes LOGISTIC and MUL, each rounded",
            "train with hard-swish (one operator) or ReLU6",
        )
    if node.op_type in _SMOOTH:
        return Lint(
            node.op_type, _name(node), "it has no int8 operator here", "train with ReLU6 or hard-swish"
        )
    return None


def _norm(node: Any, _: _Wires) -> Lint | None:
    if node.op_type not in _NORMS:
        return None
    why = "it cannot be folded into a convolution and becomes means, squares and roots in int8"
    return Lint(node.op_type, _name(node), why, "train with BatchNorm")


def _split_convolution(node: Any, wires: _Wires) -> Lint | None:
    found = branches(node, wires)
    if found is None:
        return None
    return Lint(
        "grouped convolution switched off",
        _name(node),
        f"a split, {len(found[0])} convolutions and a concatenation for one grouped convolution",
        f"one convolution with {len(found[0])} groups",
        done=True,
    )


def branches(node: Any, wires: _Wires) -> tuple[list[Any], Any] | None:
    """(the convolutions, the concatenation) behind a Split along channels that are one grouped convolution."""
    if node.op_type != "Split" or attributes(node).get("axis", 0) != 1 or len(node.output) < MIN_BRANCHES:
        return None
    convolutions = [wires.alone(name) for name in node.output]
    if any(getattr(c, "op_type", "") != "Conv" for c in convolutions):
        return None
    ends = [wires.alone(c.output[0]) for c in convolutions if c is not None]
    join = ends[0]
    if (
        getattr(join, "op_type", "") != "Concat"
        or any(e is not join for e in ends)
        or attributes(join).get("axis") != 1
    ):
        return None
    assert join is not None
    if list(join.input) != [c.output[0] for c in convolutions if c is not None]:
        return None
    return ([c for c in convolutions if c is not None], join) if _alike(convolutions, wires) else None


def _alike(convolutions: list[Any], wires: _Wires) -> bool:
    """The same shape, window and number of constants in every branch."""
    kinds = set()
    for c in convolutions:
        if any(n not in wires.constants for n in c.input[1:]):
            return False
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes(c).items() if k != "group"}
        if attributes(c).get("group", 1) != 1:
            return False
        kinds.add((wires.constants[c.input[1]].shape, len(c.input), tuple(sorted(values.items()))))
    return len(kinds) == 1


def rewritten(model: Any) -> None:
    """Make the exact rewrites in place: one grouped convolution of many, a convolution before a lonely ReLU6.

    int64 indices are turned by onnx.py, which knows when shapes are final.
    """
    for node in list(model.graph.node):
        found = branches(node, _wires(model))
        if found is not None:
            _join(model, node, *found)
    wires = _wires(model)
    for node in [n for n in model.graph.node if _lonely_relu6(n, wires) is not None]:
        _support(model, node)


def _join(model: Any, split: Any, convolutions: list[Any], join: Any) -> None:
    from onnx import helper, numpy_helper

    wires = _wires(model)
    values = {k: v for k, v in attributes(convolutions[0]).items() if k != "group"}
    name, inputs = f"{_name(split)}_grouped", [split.input[0]]
    for place in range(1, len(convolutions[0].input)):
        whole = np.concatenate([wires.constants[c.input[place]] for c in convolutions])
        model.graph.initializer.append(numpy_helper.from_array(whole, f"{name}_{place}"))
        inputs.append(f"{name}_{place}")
    made = helper.make_node("Conv", inputs, [join.output[0]], name=name, group=len(convolutions), **values)
    nodes = list(model.graph.node)
    where = nodes.index(join)
    model.graph.node.insert(where, made)
    for gone in (split, *convolutions, join):
        model.graph.node.remove(gone)


def _support(model: Any, node: Any) -> None:
    """x → ReLU6 becomes x → 1·x by channel → ReLU6; maps [1, C, H, W] with a known C only."""
    from onnx import helper, numpy_helper

    channels = _channels(model, node.input[0])
    if channels is None:
        return
    name = f"{_name(node)}_ones"
    ones = np.ones((channels, 1, 1, 1), np.float32)
    zeros = np.zeros(channels, np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(ones, name), numpy_helper.from_array(zeros, f"{name}_bias")]
    )
    made = helper.make_node(
        "Conv",
        [node.input[0], name, f"{name}_bias"],
        [f"{name}_out"],
        name=name,
        group=channels,
        kernel_shape=[1, 1],
    )
    model.graph.node.insert(list(model.graph.node).index(node), made)
    node.input[0] = f"{name}_out"


def _channels(model: Any, name: str) -> int | None:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    for value in (*inferred.graph.value_info, *inferred.graph.input):
        dims = value.type.tensor_type.shape.dim
        if value.name == name and len(dims) == 4 and dims[1].dim_value > 0:
            return int(dims[1].dim_value)
    return None


def lines(found: tuple[Lint, ...]) -> Iterator[str]:
    """One line a kind of finding: a net has the same one in every block."""
    kinds: dict[tuple[str, bool], list[Lint]] = {}
    for lint in found:
        kinds.setdefault((lint.construct, lint.done), []).append(lint)
    for group in kinds.values():
        more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
        yield f"lint: {group[0].line()}{more}"
