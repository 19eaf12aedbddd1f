"""Engines of others that come as Python packages: bakenn and emx-onnx-cgen. Each runs in a child process with its
own packages, because their pins do not agree with the converter's. Called by tools/versus.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from contenders.cases import Case
from contenders.harness import DoesNotBuild, Program
from dftiny.graph import Graph, Op, Tensor
from dftiny.kernels.calls import same_pad

CHILDREN = Path(__file__).resolve().parent / "children"
# Each is compiled both ways and the fewer instructions count: bakenn's loops want -O3, CMSIS-NN and dftiny do not.
LEVELS = ("-O2", "-O3")
INSTALL = "pip install --target FOLDER bakenn==1.0.0 emx-onnx-cgen==1.4.0, then --packages FOLDER"
MAIN = """
{include}
static int8_t in_bytes[{in_bytes}] __attribute__((aligned(16)));
static int8_t out_bytes[{out_bytes}] __attribute__((aligned(16)));
int8_t *versus_in = in_bytes, *versus_out = out_bytes;
void versus_open(void);
void versus_open(void) {{ }}
void versus_invoke(void);
void versus_invoke(void)
{{
    {call}
}}
"""


class Missing(Exception):
    """A package is not installed."""


def python(script: str, packages: Path | None, *arguments: str | Path) -> str:
    """Run children/<script> with the packages' folder in front. DoesNotBuild with its last line when it fails."""
    env = dict(os.environ)
    if packages is not None:
        env["PYTHONPATH"] = str(packages)
    command = [sys.executable, CHILDREN / script, *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it failed without a word"]
        if "ModuleNotFoundError" in lines[-1]:
            raise Missing(f"{lines[-1].split(chr(39))[1]} is not installed")
        raise DoesNotBuild(lines[-1][:200])
    return done.stdout


class Bakenn:
    """bakenn's portable C, its default."""

    name = "bakenn"
    levels = LEVELS

    def __init__(self, folder: Path, packages: Path | None) -> None:
        self.folder, self.packages = folder, packages
        found = json.loads(python("bakenn_child.py", packages))
        self.version, self.vendor = found["version"], Path(found["vendor"])

    def program(self, case: Case) -> Program:
        """Raises DoesNotBuild with bakenn's own words when it refuses the model."""
        here = self.folder / "bakenn"
        (self.folder / "bakenn.tflite").write_bytes(case.model)
        python("bakenn_child.py", self.packages, self.folder / "bakenn.tflite", here)
        arena = "static uint8_t arena[BKNN_NET_ARENA_SIZE + 1u] __attribute__((aligned(16)));"
        call = "bknn_net_infer(BKNN_NET_ARENA_SIZE ? arena : 0, in_bytes, out_bytes);"
        sizes = {"in_bytes": case.x[0].size, "out_bytes": case.expected.shape[1]}
        text = MAIN.format(include=f'#include "bknn_net.h"\n{arena}', call=call, **sizes)
        return Program(text, (f"-I{here}",), (), tuple(sorted(here.glob("*.c"))))

    def borrowed(self, function: str) -> bool:
        """All of it is its own."""
        del function
        return False


class Emx:
    """emx-onnx-cgen, for single layers: the operator as ONNX' QLinearConv. It computes in float and NCHW."""

    name = "emx"
    levels = LEVELS

    def __init__(self, folder: Path, packages: Path | None) -> None:
        self.folder, self.packages = folder, packages
        python("emx_child.py", packages)

    def program(self, case: Case) -> Program:
        """Raises DoesNotBuild for whole nets, and where it refuses the layer."""
        if case.kind != "layer":
            raise DoesNotBuild("single layers only")
        np.savez(self.folder / "emx.npz", **_layer(case.graph))
        source = self.folder / "emx.c"
        python("emx_child.py", self.packages, self.folder / "emx.npz", source)
        x, y = case.graph.input.shape, case.graph.output.shape
        names = [f"[{']['.join(map(str, _channels_first(s)))}]" for s in (x, y)]
        include = f"#include <stdint.h>\nvoid model(const int8_t x{names[0]}, int8_t y{names[1]});"
        call = "model((const void *)in_bytes, (void *)out_bytes);"
        sizes = {"in_bytes": case.x[0].size, "out_bytes": case.expected.shape[1]}
        text = MAIN.format(include=include, call=call, **sizes)
        # Double precision is in the chip's FPU but not in unicorn's: compiled as library calls, and not counted.
        return Program(text, ("-mfpu=fpv5-sp-d16",), (), (source,), channels_first=True)

    def borrowed(self, function: str) -> bool:
        """Whether a function stands for an instruction of the chip's FPU."""
        return function.startswith(
            ("__aeabi_d", "__aeabi_f2d", "__aeabi_i2d", "__aeabi_cd", "__adddf3", "nearbyint")
        )


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else (*shape, 1, 1)


def _layer(graph: Graph) -> dict[str, np.ndarray]:
    """The one operator of `graph` as a QLinearConv: OIHW weights, scales, zero points, pads."""
    (op,) = graph.ops
    x, w, b, y = (graph.tensors[t] for t in (*op.inputs[:3], op.outputs[0]))
    assert w.data is not None and b.data is not None and w.quant is not None
    weights = w.data.reshape(*w.shape, 1, 1) if len(w.shape) == 2 else _oihw(op, w)
    kernel = weights.shape[2:]
    pads, strides = [0, 0, 0, 0], [1, 1]
    if op.kind != "FULLY_CONNECTED":
        strides = [op.options.stride_h, op.options.stride_w]  # type: ignore[union-attr]
        for i in range(2):
            whole = max((y.shape[1 + i] - 1) * strides[i] + kernel[i] - x.shape[1 + i], 0)
            pads[i] = same_pad(x.shape[1 + i], y.shape[1 + i], kernel[i], strides[i])
            pads[2 + i] = whole - pads[i]
    return {
        "weights": weights,
        "bias": b.data,
        "w_scale": w.quant.scale.astype(np.float32),
        "quant": np.array([x.scale, y.scale], np.float32),
        "zero": np.array([x.zero_point, y.zero_point], np.int8),
        "pads": np.array(pads),
        "strides": np.array(strides),
        "groups": np.array(x.shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else 1),
        "x_shape": np.array(_channels_first(x.shape)),
        "y_shape": np.array(_channels_first(y.shape)),
    }


def _oihw(op: Op, w: Tensor) -> np.ndarray:
    assert w.data is not None
    return w.data.transpose((3, 0, 1, 2) if op.kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2))
