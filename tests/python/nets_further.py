"""Further families of small nets as int8 .tflite files with random weights, for the operators they bring: gates, dense
concatenation, channel splits, up-sampling, blocks of pixels, dilated convolution over time, slopes, fully connected.

Written from the papers' figures at small sizes, not to a paper's accuracy. tools/nets, tests and campaigns call `model`;
as a program this file converts one net (see nets_int8).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets_int8
import numpy as np
from nets_int8 import Layers


def names() -> list[str]:
    """All nets, sorted."""
    return sorted(NETS)


def model(name: str, folder: Path) -> bytes:
    """The .tflite of net `name`, from `folder` where it lies there already."""
    return nets_int8.converted(name, folder, Path(__file__), [Path(__file__), Path(nets_int8.__file__)])


def samples(name: str, n: int, seed: int = nets_int8.SEED) -> np.ndarray:
    """int8 inputs [n, H, W, C] of net `name`."""
    return nets_int8.pictures(NETS[name][1], n, seed)


def _gate(b: Layers, reduction: int, how: str) -> None:
    """Squeeze and excitation, the gate a sigmoid or, as in MobileNetV3, a clipped line."""
    whole, k = b.x, b.k.layers
    c = b.channels
    x = k.GlobalAveragePooling2D()(whole)
    x = k.Reshape((1, 1, c))(x)
    x = k.Conv2D(max(4, c // reduction), 1, activation="relu", bias_initializer="random_normal")(x)
    x = k.Conv2D(c, 1, bias_initializer="random_normal")(x)
    x = k.Activation("sigmoid")(x) if how == "sigmoid" else k.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    b.x = k.Multiply()([whole, x])


def _hard_swish(b: Layers) -> None:
    b.x = b.x * (b.k.layers.ReLU(6.0)(b.x + 3.0) * (1.0 / 6.0))


def _swish(b: Layers) -> None:
    b.x = b.k.layers.Multiply()([b.x, b.k.layers.Activation("sigmoid")(b.x)])


def _up(b: Layers, skip: Any) -> None:
    """Twice the size by nearest neighbours, joined to a map of that size."""
    b.x = b.k.layers.UpSampling2D(2, interpolation="nearest")(b.x)
    b.x = b.k.layers.Concatenate()([b.x, skip])


def _finish(b: Layers, classes: int) -> Any:
    """Mean and scores, without the softmax that hides all but the largest."""
    b.x = b.k.layers.GlobalAveragePooling2D()(b.x)
    b.dense(classes, None)
    return b.k.Model(b.input, b.x)


def mbv3_small_like(b: Layers) -> Any:
    """MobileNetV3-Small (Howard et al. 2019, arXiv 1905.02244, table 2) at half width."""
    b.conv(8, 3, 2, act=None)
    _hard_swish(b)
    stages = (
        (3, 8, 8, True, False, 2), (3, 40, 16, False, False, 2), (3, 48, 16, False, False, 1),
        (5, 48, 24, True, True, 2), (5, 120, 24, True, True, 1), (5, 144, 48, True, True, 2),
        (5, 288, 48, True, True, 1),
    )  # fmt: skip
    for kernel, wide, outputs, gated, swish, stride in stages:
        before = b.x
        b.conv(wide, act=None if swish else 0.0)
        if swish:
            _hard_swish(b)
        b.depthwise(kernel, stride, act=None if swish else 0.0)
        if swish:
            _hard_swish(b)
        if gated:
            _gate(b, 4, "line")
        b.conv(outputs, act=None)
        if b.x.shape == before.shape:
            b.x = b.k.layers.Add()([before, b.x])
    b.conv(288, act=None)
    _hard_swish(b)
    return _finish(b, 10)


def efficientnet_like(b: Layers) -> Any:
    """EfficientNet's blocks (Tan and Le 2019, arXiv 1905.11946): SiLU and sigmoid gates. Its input has no fixed batch, so
    that its Reshapes become SHAPE, STRIDED_SLICE, PACK and RESHAPE, as in everybody's Keras files."""
    b.input = b.k.Input(tuple(b.input.shape[1:]))
    b.x = b.input
    b.conv(16, 3, 2, act=None)
    _swish(b)
    for kernel, outputs, repeats, stride in ((3, 16, 1, 1), (3, 24, 2, 2), (5, 32, 2, 2), (5, 48, 2, 2)):
        for i in range(repeats):
            before = b.x
            b.conv(b.channels * 4, act=None)
            _swish(b)
            b.depthwise(kernel, stride if i == 0 else 1, act=None)
            _swish(b)
            _gate(b, 16, "sigmoid")
            b.conv(outputs, act=None)
            if b.x.shape == before.shape:
                b.x = b.k.layers.Add()([before, b.x])
    return _finish(b, 10)


def efficientnet_lite_like(b: Layers) -> Any:
    """EfficientNet-Lite's blocks: ReLU6 and no gates, windows of 3 and 5."""
    b.conv(16, 3, 2)
    b.inverted(8, 1)
    for kernel, outputs, repeats, stride in ((3, 16, 2, 2), (5, 24, 2, 2), (3, 40, 3, 2), (5, 56, 2, 1)):
        for i in range(repeats):
            b.inverted(outputs, 6, kernel, stride if i == 0 else 1)
    b.conv(160)
    return _finish(b, 10)


def densenet_like(b: Layers) -> Any:
    """DenseNet (Huang et al. 2016, arXiv 1608.06993): normalisation before convolution, every map joined to the next."""
    b.conv(16, 3, 2, act=0.0)
    for block in range(3):
        for _ in range(4):
            before = b.x
            b.norm(0.0)
            b.conv(32, act=0.0)
            b.x = b.k.layers.Conv2D(8, 3, padding="same", use_bias=False)(b.x)
            b.x = b.k.layers.Concatenate()([before, b.x])
        if block < 2:
            b.norm(0.0)
            b.x = b.k.layers.Conv2D(b.channels // 2, 1, use_bias=False)(b.x)
            b.x = b.k.layers.AveragePooling2D(2)(b.x)
    b.norm(0.0)
    return _finish(b, 10)


def squeezenet_like(b: Layers) -> Any:
    """SqueezeNet's fire modules (Iandola et al. 2016, arXiv 1602.07360): two convolutions of one map, joined."""
    b.conv(24, 3, 2, act=0.0)
    b.x = b.k.layers.MaxPool2D(3, 2)(b.x)
    for i, (squeezed, wide) in enumerate(((8, 32), (8, 32), (16, 64), (24, 96))):
        b.conv(squeezed, act=0.0)
        narrow = b.x
        b.conv(wide, act=0.0)
        one, b.x = b.x, narrow
        b.conv(wide, 3, act=0.0)
        b.x = b.k.layers.Concatenate()([one, b.x])
        if i == 1:
            b.x = b.k.layers.MaxPool2D(3, 2)(b.x)
    b.conv(10, act=None)
    b.x = b.k.layers.GlobalAveragePooling2D()(b.x)
    return b.k.Model(b.input, b.x)


def shufflenet_v2_like(b: Layers) -> Any:
    """ShuffleNetV2 (Ma et al. 2018, arXiv 1807.11164): half of the channels go past, then all are shuffled."""
    import tensorflow as tf

    b.conv(24, 3, 2, act=0.0)
    for outputs, repeats in ((48, 2), (96, 3)):
        whole = b.x
        b.depthwise(3, 2, act=None)
        b.conv(outputs // 2, act=0.0)
        past, b.x = b.x, whole
        b.conv(outputs // 2, act=0.0)
        b.depthwise(3, 2, act=None)
        b.conv(outputs // 2, act=0.0)
        b.x = b.k.layers.Concatenate()([past, b.x])
        nets_int8.shuffled(b, 2)
        for _ in range(repeats):
            past, b.x = b.k.layers.Lambda(lambda x: tf.split(x, 2, axis=-1))(b.x)
            b.conv(outputs // 2, act=0.0)
            b.depthwise(3, 1, act=None)
            b.conv(outputs // 2, act=0.0)
            b.x = b.k.layers.Concatenate()([past, b.x])
            nets_int8.shuffled(b, 2)
    return _finish(b, 10)


def unet_like(b: Layers) -> Any:
    """U-Net (Ronneberger et al. 2015, arXiv 1505.04597) with nearest neighbours on the way up: a mask of the input."""
    skips = []
    for outputs in (8, 16, 24):
        b.conv(outputs, 3, act=0.0)
        skips.append(b.x)
        b.max_pool()
    b.conv(32, 3, act=0.0)
    for skip in reversed(skips):
        _up(b, skip)
        b.conv(int(skip.shape[-1]), 3, act=0.0)
    b.x = b.k.layers.Conv2D(1, 1, activation="sigmoid", bias_initializer="random_normal")(b.x)
    return b.k.Model(b.input, b.x)


def superresolution_like(b: Layers) -> Any:
    """ESPCN (Shi et al. 2016, arXiv 1609.05158): tanh, channels to pixels at the end; blocks of pixels in front."""
    import tensorflow as tf

    b.x = b.k.layers.Lambda(lambda x: tf.nn.space_to_depth(x, 2))(b.x)
    b.conv(24, 5, act=None)
    b.x = b.k.layers.Activation("tanh")(b.x)
    b.conv(16, 3, act=None)
    b.x = b.k.layers.Activation("tanh")(b.x)
    b.conv(3 * 16, 3, act=None)
    b.x = b.k.layers.Lambda(lambda x: tf.nn.depth_to_space(x, 4))(b.x)
    return b.k.Model(b.input, b.x)


def tcn_like(b: Layers) -> Any:
    """A temporal convolutional net (Bai et al. 2018, arXiv 1803.01271): causal, dilated, residual; time is the height."""
    b.conv(16, 1, act=0.0)
    for dilation in (1, 2, 4, 8):
        before = b.x
        for _ in range(2):
            b.x = b.k.layers.ZeroPadding2D(((2 * dilation, 0), (0, 0)))(b.x)
            layer = b.k.layers.Conv2D(16, (3, 1), dilation_rate=(dilation, 1), use_bias=False)
            b.x = layer(b.x)
            b.norm(0.0)
        b.x = b.k.layers.ReLU()(b.k.layers.Add()([before, b.x]))
    b.x = b.x[:, -1, 0, :]
    b.dense(6, None)
    return b.k.Model(b.input, b.x)


def autoencoder(b: Layers) -> Any:
    """The fully connected autoencoder of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597): five frames of 128."""
    b.x = b.k.layers.Flatten()(b.x)
    for units in (128, 128, 8, 128, 128):
        b.dense(units, None)
        b.norm(0.0)
    b.dense(640, None)
    return b.k.Model(b.input, b.x)


def pnet_like(b: Layers) -> Any:
    """MTCNN's proposal net (Zhang et al. 2016, arXiv 1604.02878): PReLU, valid windows, a map of face scores."""
    prelu = {"shared_axes": [1, 2], "alpha_initializer": "random_uniform"}
    for outputs in (10, 16, 32):
        b.x = b.k.layers.Conv2D(outputs, 3, bias_initializer="random_normal")(b.x)
        b.x = b.k.layers.PReLU(**prelu)(b.x)
        if outputs == 10:
            b.x = b.k.layers.MaxPool2D(2, padding="same")(b.x)
    b.x = b.k.layers.Conv2D(2, 1, activation="softmax", bias_initializer="random_normal")(b.x)
    return b.k.Model(b.input, b.x)


def yolo_like(b: Layers) -> Any:
    """Tiny YOLO (Redmon and Farhadi 2018, arXiv 1804.02767): leaky ReLU, max pools, one scale joined on the way up."""
    skip = None
    for outputs in (8, 16, 32, 64):
        b.conv(outputs, 3, act=None)
        b.x = b.k.layers.LeakyReLU(0.1)(b.x)
        skip = b.x if outputs == 32 else skip
        b.max_pool()
    b.conv(64, 3, act=None)
    b.x = b.k.layers.LeakyReLU(0.1)(b.x)
    b.conv(32, act=None)
    b.x = b.k.layers.UpSampling2D(4, interpolation="nearest")(b.x)
    b.x = b.k.layers.Concatenate()([b.x, b.k.layers.LeakyReLU(0.1)(skip)])
    b.x = b.k.layers.Conv2D(18, 1, bias_initializer="random_normal")(b.x)
    return b.k.Model(b.input, b.x)


NETS: dict[str, tuple[Callable[[Layers], Any], tuple[int, int, int]]] = {
    "mbv3_small_like": (mbv3_small_like, (96, 96, 3)),
    "efficientnet_like": (efficientnet_like, (64, 64, 3)),
    "efficientnet_lite_like": (efficientnet_lite_like, (64, 64, 3)),
    "densenet_like": (densenet_like, (48, 48, 3)),
    "squeezenet_like": (squeezenet_like, (64, 64, 3)),
    "shufflenet_v2_like": (shufflenet_v2_like, (64, 64, 3)),
    "unet_like": (unet_like, (48, 48, 3)),
    "superresolution_like": (superresolution_like, (32, 32, 3)),
    "tcn_like": (tcn_like, (64, 1, 9)),
    "autoencoder": (autoencoder, (5, 128, 1)),
    "pnet_like": (pnet_like, (48, 48, 3)),
    "yolo_like": (yolo_like, (64, 64, 3)),
}


if __name__ == "__main__":
    nets_int8.write(*NETS[sys.argv[1]], Path(sys.argv[2]))
