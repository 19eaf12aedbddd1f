"""Small nets of published shapes as int8 .tflite files with random weights: what a user may bring to the engine.

The three image and sound nets of MLPerf Tiny (DS-CNN, MobileNetV1 0.25, ResNet-8), and four more kinds that no
kernel had been made for when they were chosen: MobileNetV2, large depthwise windows, max pools, grouped convolutions with shuffle and concat.
Written from the papers' tables. Tests and tools/versus call `model`; the converter runs in a child process (this
file as a program), because it is the only place where tensorflow is imported.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SEED = 11
CALIBRATION = 24
TIMEOUT_S = 600


def names() -> list[str]:
    """All nets, sorted."""
    return sorted(NETS)


def model(name: str, folder: Path) -> bytes:
    """The .tflite of net `name`, from `folder` where it lies there already (keyed by this file's own text)."""
    return converted(name, folder, Path(__file__), [Path(__file__)])


def converted(name: str, folder: Path, program: Path, sources: list[Path]) -> bytes:
    """The .tflite that `program NAME PATH` writes, kept in `folder` under the digest of `sources`."""
    key = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:12]
    path = folder / f"{name}-{key}.tflite"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(program), name, str(path)]
        env = {
            **os.environ,
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=env
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} did not convert: {done.stderr[-2000:]}")
    return path.read_bytes()


def samples(name: str, n: int, seed: int = SEED) -> np.ndarray:
    """int8 inputs [n, H, W, C] of net `name`."""
    return pictures(NETS[name][1], n, seed)


def pictures(shape: tuple[int, int, int], n: int, seed: int = SEED) -> np.ndarray:
    """int8 [n, *shape]: smooth random fields of growing contrast with some noise."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(np.cumsum(rng.normal(0, 1, (n, *shape)), 1), 2)
    low, high = walk.min((1, 2, 3), keepdims=True), walk.max((1, 2, 3), keepdims=True)
    gain = np.linspace(0.3, 1.0, n).reshape(n, 1, 1, 1)
    pixels = (walk - low) / (high - low) * 255 * gain + rng.normal(0, 4, walk.shape)
    return (np.clip(np.round(pixels), 0, 255) - 128).astype(np.int8)


class Layers:
    """Keras layers by short names; `x` is the running tensor. Every convolution has batch normalisation behind it."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        import tf_keras

        self.k = tf_keras
        self.input = tf_keras.Input(shape, batch_size=1)
        self.x: Any = self.input

    @property
    def channels(self) -> int:
        return int(self.x.shape[-1])

    def norm(self, activation: float | None) -> None:
        """Batch normalisation, and a ReLU that stops at `activation` (0: never; None: no ReLU)."""
        self.x = self.k.layers.BatchNormalization(momentum=0.5)(self.x)
        if activation is not None:
            self.x = self.k.layers.ReLU(activation or None)(self.x)

    def conv(
        self,
        filters: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        act: float | None = 6.0,
        groups: int = 1,
    ) -> None:
        layer = self.k.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, groups=groups)
        self.x = layer(self.x)
        self.norm(act)

    def depthwise(self, kernel: int = 3, stride: int = 1, act: float | None = 6.0) -> None:
        self.x = self.k.layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False)(self.x)
        self.norm(act)

    def inverted(self, outputs: int, expand: int, kernel: int = 3, stride: int = 1) -> None:
        """MobileNetV2's block: expand, depthwise, linear projection, residual where the shapes allow it."""
        before = self.x
        if expand > 1:
            self.conv(self.channels * expand)
        self.depthwise(kernel, stride)
        self.conv(outputs, act=None)
        if self.x.shape == before.shape:
            self.x = self.k.layers.Add()([before, self.x])

    def max_pool(self) -> None:
        self.x = self.k.layers.MaxPool2D(2)(self.x)

    def dense(self, units: int, activation: str | None) -> None:
        """A fully connected layer; the bias is random, because the converter drops one of zeros."""
        layer = self.k.layers.Dense(units, activation, bias_initializer="random_normal")
        self.x = layer(self.x)

    def finish(self, classes: int, *, pool: bool = False) -> Any:
        """Mean over the map (`pool`: as a window as large as the map), fully connected layer, softmax."""
        if pool:
            self.x = self.k.layers.AveragePooling2D(tuple(self.x.shape[1:3]))(self.x)
            self.x = self.k.layers.Flatten()(self.x)
        else:
            self.x = self.k.layers.GlobalAveragePooling2D()(self.x)
        self.dense(classes, "softmax")
        return self.k.Model(self.input, self.x)


def kws(b: Layers) -> Any:
    """DS-CNN for keyword spotting (Zhang et al. 2017, arXiv 1711.07128; MLPerf Tiny): 64 channels, four blocks."""
    b.conv(64, (10, 4), 2, act=0.0)
    for _ in range(4):
        b.depthwise(act=0.0)
        b.conv(64, act=0.0)
    return b.finish(12, pool=True)


def mobile025(b: Layers) -> Any:
    """MobileNetV1 at width 0.25 (Howard et al. 2017, arXiv 1704.04861, table 1) for visual wake words."""
    b.conv(8, 3, 2, act=0.0)
    widths = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
    for outputs, stride in widths:
        b.depthwise(3, stride, act=0.0)
        b.conv(outputs, act=0.0)
    return b.finish(2, pool=True)


def resnet8(b: Layers) -> Any:
    """ResNet-8 of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597): three stacks of one block each."""
    b.conv(16, 3, act=0.0)
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        before = b.x
        b.conv(outputs, 3, stride, act=0.0)
        b.conv(outputs, 3, act=None)
        after = b.x
        if stride > 1:
            b.x = b.k.layers.Conv2D(outputs, 1, stride, padding="same")(before)
            before = b.x
        b.x = b.k.layers.ReLU()(b.k.layers.Add()([before, after]))
    return b.finish(10, pool=True)


def mbv2_035(b: Layers) -> Any:
    """MobileNetV2 at width 0.35 (Sandler et al. 2018, arXiv 1801.04381, table 2), 96 px."""
    b.conv(16, 3, 2)
    stages = (
        (1, 8, 1, 1),
        (6, 8, 2, 2),
        (6, 16, 3, 2),
        (6, 24, 4, 2),
        (6, 32, 3, 1),
        (6, 56, 3, 2),
        (6, 112, 1, 1),
    )
    for expand, outputs, repeats, stride in stages:
        for i in range(repeats):
            b.inverted(outputs, expand, stride=stride if i == 0 else 1)
    b.conv(1280)
    return b.finish(10)


def mcunet_like(b: Layers) -> Any:
    """Mixed windows and expansions as searched nets have them (ProxylessNAS, arXiv 1812.00332; MCUNet, 2007.10319)."""
    b.conv(16, 3, 2)
    b.inverted(8, 1)
    stages = (
        (16, 3, 7, 2), (16, 4, 3, 1), (24, 5, 5, 2), (24, 4, 7, 1), (40, 5, 7, 2), (40, 5, 3, 1),
        (48, 4, 5, 1), (96, 5, 5, 2), (96, 4, 7, 1), (160, 4, 7, 1),
    )  # fmt: skip
    for outputs, expand, kernel, stride in stages:
        b.inverted(outputs, expand, kernel, stride)
    return b.finish(2)


def vgg_like(b: Layers) -> Any:
    """Pairs of 3x3 convolutions with max pools (Simonyan and Zisserman 2014, arXiv 1409.1556), narrow."""
    for outputs in (16, 32, 64):
        b.conv(outputs, 3, act=0.0)
        b.conv(outputs, 3, act=0.0)
        b.max_pool()
    b.x = b.k.layers.Flatten()(b.x)
    b.dense(64, "relu")
    b.dense(10, "softmax")
    return b.k.Model(b.input, b.x)


def shuffled(b: Layers, groups: int) -> None:
    """ShuffleNet's channel shuffle."""
    _, h, w, c = b.x.shape
    b.x = b.k.layers.Reshape((h, w, groups, c // groups))(b.x)
    b.x = b.k.layers.Permute((1, 2, 4, 3))(b.x)
    b.x = b.k.layers.Reshape((h, w, c))(b.x)


def shuffle_unit(b: Layers, outputs: int, stride: int, groups: int) -> None:
    """Grouped 1x1, shuffle, depthwise, grouped 1x1; added at stride 1, concatenated to a mean pool at stride 2."""
    before = b.x
    b.conv(outputs // 4, groups=groups)
    shuffled(b, groups)
    b.depthwise(3, stride, act=None)
    b.conv(outputs if stride == 1 else outputs - int(before.shape[-1]), groups=groups, act=None)
    if stride == 1:
        b.x = b.k.layers.ReLU()(b.k.layers.Add()([before, b.x]))
    else:
        pooled = b.k.layers.AveragePooling2D(3, 2, padding="same")(before)
        b.x = b.k.layers.ReLU()(b.k.layers.Concatenate()([pooled, b.x]))


def xinet_like(b: Layers) -> Any:
    """ShuffleNet's units (Zhang et al. 2017, arXiv 1707.01083), two groups: grouped convolution, shuffle, concat."""
    b.conv(24, 3, 2)
    for outputs, repeats in ((64, 2), (128, 3), (256, 1)):
        shuffle_unit(b, outputs, 2, 2)
        for _ in range(repeats):
            shuffle_unit(b, outputs, 1, 2)
    return b.finish(10)


NETS: dict[str, tuple[Callable[[Layers], Any], tuple[int, int, int]]] = {
    "kws": (kws, (49, 10, 1)),
    "mobile025": (mobile025, (96, 96, 3)),
    "resnet8": (resnet8, (32, 32, 3)),
    "mbv2_035": (mbv2_035, (96, 96, 3)),
    "mcunet_like": (mcunet_like, (96, 96, 3)),
    "vgg_like": (vgg_like, (32, 32, 3)),
    "xinet_like": (xinet_like, (96, 96, 3)),
}


def _statistics(net: Any, pixels: np.ndarray) -> None:
    """Give every batch normalisation the statistics of `pixels`, so that no activation dies or explodes."""
    for _ in range(6):
        for tile in pixels:
            net(tile[None], training=True)


def _convert(net: Any, pixels: np.ndarray) -> bytes:
    """Full int8, input and output included."""
    import tensorflow as tf

    def calibration() -> Iterator[list[np.ndarray]]:
        for tile in pixels:
            yield [tile[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    result: bytes = converter.convert()
    return result


def write(make: Callable[[Layers], Any], shape: tuple[int, int, int], path: Path) -> None:
    """Make a net, give it statistics, convert it. For programs that `converted` starts."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(SEED)
    net = make(Layers(shape))
    pixels = pictures(shape, CALIBRATION).astype(np.float32)
    # Floats of about -2 to 2, whose int8 form is `samples` again (or one step beside it).
    _statistics(net, pixels / 64)
    data = _convert(net, pixels / 64)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


if __name__ == "__main__":
    write(*NETS[sys.argv[1]], Path(sys.argv[2]))
