"""Checkpoint or foreign ONNX → model.onnx: one float input "pixels" [1, 3, H, W] with values 0…255, one output
"logits" [1, K], constants folded, normalisation inside.

What a model does to its pixels before the first layer belongs into the graph: then the int8 input is exactly
pixel − 128 and host and chip cannot disagree. (p/255 − mean)/std = a·p + b goes into the first convolution
where that is exact; a convolution that pads would pad with another value, so there it stays a 1×1 depthwise.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dftiny.errors import CheckFailed, DftError
from dftiny.export.lints import Lint, lints, rewritten

if TYPE_CHECKING:
    from dftiny.nets.checkpoint import Checkpoint

OPSET = 17
INPUT, OUTPUT = "pixels", "logits"
MAX_CLASSES = 4096
OWN_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Normalisation:
    """What a foreign model expects: (pixel / 255 − mean) / std per channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """(a, b) float64[3] with a · pixel + b."""
        mean, std = np.array(self.mean, np.float64), np.array(self.std, np.float64)
        return 1.0 / (255.0 * std), -mean / std


def parse_normalisation(mean: str | None, std: str | None) -> Normalisation | None:
    """From the command line's comma-separated values; None when neither is given (the model takes pixels)."""
    if mean is None and std is None:
        return None
    m, s = _three(mean or "0,0,0", "--mean"), _three(std or "1,1,1", "--std")
    if min(s) <= 0:
        raise DftError(f"--std {std} must be positive")
    return Normalisation(m, s)


def _three(text: str, option: str) -> tuple[float, float, float]:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3 or not np.isfinite(values).all():
        raise DftError(f"{option} {text} is not three numbers", f"for example {option} 0.485,0.456,0.406")
    return values[0], values[1], values[2]


def require(*packages: str) -> None:
    """DftError when a package of the [export] extra is missing."""
    from importlib.util import find_spec

    for name in packages:
        if find_spec(name) is None:
            raise DftError(f"export needs {name}, which is not installed", "pip install dftiny[export]")


def from_checkpoint(checkpoint: Checkpoint, path: Path) -> tuple[Lint, ...]:
    """Write `checkpoint`'s net as ONNX to `path`; returns what int8 may stumble over."""
    import onnx
    import torch

    pixels = torch.zeros(1, 3, checkpoint.tile, checkpoint.tile)
    with warnings.catch_warnings():
        # The legacy exporter is deprecated, but the new one ignores this opset silently (facts in DESIGN.md).
        warnings.simplefilter("ignore")
        torch.onnx.export(
            checkpoint.net,
            (pixels,),
            str(path),
            opset_version=OPSET,
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    model = _simplified(onnx.load(str(path)), "the exported net")
    found = linted(model)
    _save(model, path)
    return found


def from_onnx(
    source: Path,
    path: Path,
    *,
    normalisation: Normalisation | None,
    layout: str | None,
    size: tuple[int, int] | None,
) -> tuple[Lint, ...]:
    """Bring a foreign image classifier into this form; returns what int8 may stumble over, rewritten where that is exact. `layout` "nchw" or "nhwc" (None: seen from the shape);
    `size` (H, W) fills in dimensions that the model leaves open.

    DftError names the file and what it lacks.
    """
    model = _load(source)
    _one_edge(model, source)
    nhwc, shape = _layout(model, source, layout, size)
    model = _simplified(model, str(source), {model.graph.input[0].name: shape})
    _rename(model)
    if nhwc:
        _prepend_transpose(model, (shape[1], shape[2]))
        model = _simplified(model, str(source))
    if normalisation is not None:
        _normalise(model, normalisation)
    found = linted(model)
    _flat_output(model, source)
    _save(_simplified(model, str(source)), path)
    return found


def linted(model: Any) -> tuple[Lint, ...]:
    """The lints of `model`, which is rewritten in place where another form computes the same."""
    found = lints(model)
    rewritten(model)
    _int32_indices(model)
    left = {(lint.construct, lint.node) for lint in lints(model)}
    return tuple(replace(f, done=f.done and (f.construct, f.node) not in left) for f in found)


def input_size(path: Path) -> tuple[int, int] | None:
    """(H, W) of an ONNX model's input when it says so, seen from its shape alone."""
    model = _load(path)
    _one_edge(model, path)
    dims = _dims(model.graph.input[0])
    spatial = dims[1:3] if dims[3] == 3 and dims[1] != 3 else dims[2:4]
    return (spatial[0], spatial[1]) if all(d > 0 for d in spatial) else None


def _load(source: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except OSError as e:
        raise DftError(f"cannot read {source}: {e.strerror or e}") from e
    except (DecodeError, onnx.checker.ValidationError) as e:
        raise DftError(f"{source} is not a valid ONNX model: {str(e).splitlines()[0][:160]}") from e
    _official(model, source)
    return model


def _official(model: Any, source: Path) -> None:
    """DftError for operators of others and for operator sets newer than the packages here."""
    import onnx

    known = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in OWN_DOMAINS and opset.version > known:
            raise DftError(
                f"{source} uses opset {opset.version}, known up to {known}", f"export it with opset {OPSET}"
            )
    for node in model.graph.node:
        if node.domain not in OWN_DOMAINS:
            raise DftError(
                f"{source} uses {node.op_type} of {node.domain}, which is not an ONNX operator",
                "export it with ONNX's own operators",
            )


def _one_edge(model: Any, source: Path) -> None:
    import onnx

    constants = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise DftError(
            f"{source} has {len(inputs)} inputs and {len(model.graph.output)} outputs, dftiny takes one image",
            "cut the other ones off first",
        )
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    kind = inputs[0].type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT or len(kind.shape.dim) != 4:
        raise DftError(
            f"{source} does not take one float image of four dimensions", "export it with float32 input"
        )


def _dims(value: Any) -> list[int]:
    return [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]


def _layout(
    model: Any, source: Path, layout: str | None, size: tuple[int, int] | None
) -> tuple[bool, list[int]]:
    """(is it NHWC, the input's fixed shape in the model's own layout)."""
    dims = _dims(model.graph.input[0])
    if layout is None:
        if (dims[1] == 3) == (dims[3] == 3):
            raise DftError(
                f"the input of {source} has the shape {dims}", "say --layout nchw or --layout nhwc"
            )
        layout = "nchw" if dims[1] == 3 else "nhwc"
    nhwc = layout == "nhwc"
    channels, (h, w) = (dims[3], dims[1:3]) if nhwc else (dims[1], dims[2:4])
    if channels not in (0, 3) or dims[0] not in (0, 1):
        raise DftError(f"the input of {source} has the shape {dims}, not one RGB image in {layout.upper()}")
    if (h <= 0 or w <= 0) and size is None:
        raise DftError(
            f"{source} leaves its input size open", "give calibration tiles of the size you want, as .npz"
        )
    if size is not None:
        h, w = h or size[0], w or size[1]
    return nhwc, [1, h, w, 3] if nhwc else [1, 3, h, w]


def _simplified(model: Any, name: str, shapes: dict[str, list[int]] | None = None) -> Any:
    """Constants folded, batch normalisation fused, dead nodes gone (onnxsim)."""
    import onnxsim

    try:
        # ConvertError types differ between onnxsim's releases; all of them derive from RuntimeError.
        result, _ = onnxsim.simplify(model, overwrite_input_shapes=shapes, perform_optimization=True)
    except (RuntimeError, ValueError) as e:
        raise DftError(f"{name} cannot be simplified: {str(e).splitlines()[0][:160]}") from e
    return result


def _save(model: Any, path: Path) -> None:
    """Write the model without names, times or paths of the machine that made it."""
    model.producer_name, model.producer_version, model.doc_string = "dftiny", "", ""
    for node in model.graph.node:
        node.doc_string = ""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _rename(model: Any) -> None:
    """Give input and output their names."""
    names = {model.graph.input[0].name: INPUT, model.graph.output[0].name: OUTPUT}
    for node in model.graph.node:
        for side in (node.input, node.output):
            for i, n in enumerate(side):
                side[i] = names.get(n, n)
    model.graph.input[0].name, model.graph.output[0].name = INPUT, OUTPUT


def _prepend(model: Any, node: Any, shape: Sequence[int], constants: Sequence[Any] = ()) -> None:
    """Put `node` between the input and all its readers; `shape` is the new input's."""
    from onnx import TensorProto, helper

    for reader in model.graph.node:
        for i, n in enumerate(reader.input):
            if n == INPUT:
                reader.input[i] = node.output[0]
    model.graph.node.insert(0, node)
    model.graph.initializer.extend(constants)
    value = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(shape))
    model.graph.input[0].CopyFrom(value)


def _prepend_transpose(model: Any, size: tuple[int, int]) -> None:
    """NCHW pixels → the model's NHWC. Models that begin by turning NHWC into NCHW need neither turn."""
    from onnx import TensorProto, helper

    readers = [n for n in model.graph.node if INPUT in n.input]
    if (
        len(readers) == 1
        and readers[0].op_type == "Transpose"
        and _attributes(readers[0])["perm"] == [0, 3, 1, 2]
    ):
        turned = readers[0].output[0]
        model.graph.node.remove(readers[0])
        for node in model.graph.node:
            for i, n in enumerate(node.input):
                node.input[i] = INPUT if n == turned else n
        value = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, *size])
        model.graph.input[0].CopyFrom(value)
        return
    node = helper.make_node("Transpose", [INPUT], ["dft_nhwc"], perm=[0, 2, 3, 1], name="dft_nhwc")
    _prepend(model, node, (1, 3, *size))


def _normalise(model: Any, normalisation: Normalisation) -> None:
    """a·pixel + b into the first convolution, or in front of everything as a 1×1 depthwise convolution."""
    from onnx import helper, numpy_helper

    a, b = normalisation.factors
    readers = [n for n in model.graph.node if INPUT in n.input]
    if len(readers) == 1 and _foldable(readers[0]) and _fold(model, readers[0], a, b):
        return
    weights = [
        numpy_helper.from_array(a.astype(np.float32).reshape(3, 1, 1, 1), "dft_scale"),
        numpy_helper.from_array(b.astype(np.float32), "dft_shift"),
    ]
    node = helper.make_node(
        "Conv",
        [INPUT, "dft_scale", "dft_shift"],
        ["dft_normalised"],
        group=3,
        kernel_shape=[1, 1],
        name="dft_normalise",
    )
    _prepend(model, node, _dims(model.graph.input[0]), weights)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _foldable(node: Any) -> bool:
    """A convolution that pads nothing: padding would be with 0 after, but with b before the normalisation."""
    values = _attributes(node)
    unpadded = not any(values.get("pads", ())) and values.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    return node.op_type == "Conv" and node.input[0] == INPUT and unpadded


def _fold(model: Any, conv: Any, a: np.ndarray, b: np.ndarray) -> bool:
    """W·(a·p + b) + c = (W·a)·p + (c + W·b), in float64. False when the weights are not constants."""
    from onnx import numpy_helper

    constants = {i.name: i for i in model.graph.initializer}
    if conv.input[1] not in constants or (len(conv.input) > 2 and conv.input[2] not in constants):
        return False
    w = numpy_helper.to_array(constants[conv.input[1]]).astype(np.float64)
    bias = (
        numpy_helper.to_array(constants[conv.input[2]]).astype(np.float64)
        if len(conv.input) > 2
        else np.zeros(len(w))
    )
    groups = int(_attributes(conv).get("group", 1))
    # The input channel behind weight [o, i] is group(o) · channels a group + i.
    first = np.arange(len(w)) // (len(w) // groups) * w.shape[1]
    channel = (first[:, None] + np.arange(w.shape[1]))[..., None, None]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array((w * a[channel]).astype(np.float32), "dft_first_weights"),
            numpy_helper.from_array(
                (bias + (w * b[channel]).sum((1, 2, 3))).astype(np.float32), "dft_first_bias"
            ),
        ]
    )
    rest = [conv.input[0], "dft_first_weights", "dft_first_bias"]
    del conv.input[:]
    conv.input.extend(rest)
    return True


def _int32_indices(model: Any) -> None:
    """Constant int64 indices of Gather become int32: TFLM refuses int64 positions."""
    from onnx import numpy_helper

    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] in constants:
            indices = numpy_helper.to_array(constants[node.input[1]])
            if indices.dtype == np.int64:
                name = f"{node.input[1]}_int32"
                if name not in constants:
                    constants[name] = numpy_helper.from_array(indices.astype(np.int32), name)
                    model.graph.initializer.append(constants[name])
                node.input[1] = name


def _flat_output(model: Any, source: Path) -> None:
    """Bring the output to [1, K]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    inferred = onnx.shape_inference.infer_shapes(model)
    dims = _dims(inferred.graph.output[0])
    k = int(np.prod(dims)) if dims else 0
    if not 1 <= k <= MAX_CLASSES:
        raise DftError(
            f"{source} has an output of shape {dims}, not one logit a class", "cut it before that layer"
        )
    if dims == [1, k]:
        return
    for node in model.graph.node:
        for i, n in enumerate(node.output):
            if n == OUTPUT:
                node.output[i] = "dft_raw"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, k], np.int64), "dft_flat"))
    model.graph.node.append(
        helper.make_node("Reshape", ["dft_raw", "dft_flat"], [OUTPUT], name="dft_flatten")
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, k]))


def run_onnx(path: Path, tiles: np.ndarray) -> np.ndarray:
    """Logits float32[n, K] of uint8 tiles [n, H, W, 3], by onnxruntime on one thread."""
    result = _run(path, (t[None].transpose(0, 3, 1, 2).astype(np.float32) for t in tiles))
    if not np.isfinite(result).all():
        raise CheckFailed("the model gives logits that are not numbers", "look at its weights")
    return result


def run_foreign(
    path: Path, tiles: np.ndarray, normalisation: Normalisation | None, layout: str | None
) -> np.ndarray:
    """Logits float32[n, K] of an untouched foreign model, normalised outside as its makers meant it."""
    model = _load(path)
    _one_edge(model, path)
    nhwc, _ = _layout(model, path, layout, (tiles.shape[1], tiles.shape[2]))
    pixels = tiles.astype(np.float64)
    if normalisation is not None:
        pixels = (pixels / 255.0 - np.array(normalisation.mean)) / np.array(normalisation.std)
    batches = (t[None].astype(np.float32) for t in pixels)
    return _run(path, (b if nhwc else np.ascontiguousarray(b.transpose(0, 3, 1, 2)) for b in batches))


def _run(path: Path, batches: Iterable[np.ndarray]) -> np.ndarray:
    require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # fatal: the rest comes as exceptions
    # onnxruntime's exceptions have no base of their own.
    refusals = tuple(
        e for e in vars(onnxruntime.capi.onnxruntime_pybind11_state).values() if _is_exception(e)
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.array([session.run(None, {name: b})[0].reshape(-1) for b in batches], np.float32)
    except refusals as e:
        said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(e).splitlines()[0])[:200]
        raise DftError(f"onnxruntime cannot run {path}: {said}", "check the model and its --layout") from e


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)
