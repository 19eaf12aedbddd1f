"""int8 .tflite → typed graph, refusing in one sentence whatever dftiny cannot run bit for bit.

`load` is the only door. types.py says what comes out, flat.py reads, build.py and checks.py judge.
"""

from __future__ import annotations

from pathlib import Path

from dftiny.errors import DftError
from dftiny.graph.build import build
from dftiny.graph.checks import window_out
from dftiny.graph.flat import read_raw
from dftiny.graph.macs import macs, total_macs
from dftiny.graph.types import (
    Activation,
    AddOptions,
    BlockOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    GatherOptions,
    Graph,
    LeakyReluOptions,
    MeanOptions,
    MulOptions,
    Op,
    Options,
    Padding,
    PadOptions,
    PoolOptions,
    Quant,
    ReduceOptions,
    RemapOptions,
    ShiftBranch,
    ShiftMaxOptions,
    ShiftTerm,
    SliceOptions,
    SoftmaxOptions,
    SubOptions,
    TableOptions,
    Tensor,
    TransposeOptions,
)

MAX_FILE_BYTES = 512 << 20

__all__ = [
    "Activation",
    "AddOptions",
    "BlockOptions",
    "ConcatenationOptions",
    "ConvOptions",
    "DepthwiseOptions",
    "FullyConnectedOptions",
    "GatherOptions",
    "Graph",
    "LeakyReluOptions",
    "MeanOptions",
    "MulOptions",
    "Op",
    "Options",
    "PadOptions",
    "Padding",
    "PoolOptions",
    "Quant",
    "ReduceOptions",
    "RemapOptions",
    "ShiftBranch",
    "ShiftMaxOptions",
    "ShiftTerm",
    "SliceOptions",
    "SoftmaxOptions",
    "SubOptions",
    "TableOptions",
    "Tensor",
    "TransposeOptions",
    "load",
    "macs",
    "read_model",
    "total_macs",
    "window_out",
]


def load(source: Path | str | bytes, *, name: str | None = None) -> Graph:
    """Read and check an int8 .tflite, from a path or from its bytes (then called `name` in messages).

    Raises DftError, in one sentence, for anything that is not an int8 model of known operators.
    """
    if isinstance(source, bytes):
        data, label = source, name or "the model"
    else:
        label = name or str(source)
        data = read_model(Path(source), label)
    if not data:
        raise DftError(f"{label} is empty", "give a .tflite file")
    return build(read_raw(data, label), label)


def read_model(path: Path, label: str | None = None) -> bytes:
    """The bytes of a model file, called `label` in messages. DftError for what is no file, or too large for one."""
    label = label or str(path)
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise DftError(f"{label} is not a file", "give the path of a .tflite file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DftError(
                f"{label} has {size} bytes, no model for a microcontroller has more than {MAX_FILE_BYTES}"
            )
        return path.read_bytes()
    except OSError as e:
        raise DftError(f"cannot read {label}: {e.strerror}", "give the path of a .tflite file") from e
