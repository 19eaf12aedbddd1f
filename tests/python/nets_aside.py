"""Nets that the engine was not developed on: Keras' own applications with random weights, as int8 .tflite files.

Nobody wrote them for this project, and no kernel, rewrite or plan was made with them in view before their figures were first
taken (DESIGN says which were looked at since). tools/nets calls `model`; as a program this file converts one net (see
nets_int8). No weights are fetched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets_int8
from nets_int8 import Layers

CLASSES = 10


def names() -> list[str]:
    """All nets, sorted."""
    return sorted(NETS)


def model(name: str, folder: Path) -> bytes:
    """The .tflite of net `name`, from `folder` where it lies there already."""
    return nets_int8.converted(name, folder, Path(__file__), [Path(__file__), Path(nets_int8.__file__)])


def _application(name: str, **options: object) -> Callable[[Layers], Any]:
    """`name` of Keras' applications on the running input, without trained weights."""

    def make(b: Layers) -> Any:
        build = getattr(b.k.applications, name)
        return build(input_tensor=b.input, weights=None, classes=CLASSES, **options)

    return make


V3 = {"alpha": 0.75, "include_preprocessing": False}  # pixels are brought to -2…2 before

NETS: dict[str, tuple[Callable[[Layers], Any], tuple[int, int, int]]] = {
    "held_mbv1_050": (_application("MobileNet", alpha=0.5), (128, 128, 3)),
    "held_mbv3_small": (_application("MobileNetV3Small", **V3), (96, 96, 3)),
    "held_mbv3_small_min": (_application("MobileNetV3Small", minimalistic=True, **V3), (96, 96, 3)),
    "held_effb0": (_application("EfficientNetB0"), (96, 96, 3)),
    "held_densenet": (_application("DenseNet121"), (64, 64, 3)),
}


if __name__ == "__main__":
    nets_int8.write(*NETS[sys.argv[1]], Path(sys.argv[2]))
