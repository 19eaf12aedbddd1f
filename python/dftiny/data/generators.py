"""Five simulated generators: small auto-encoders whose decoders leave the traces of up-sampling.

After AutoGAN (Zhang, Karaman, Chang 2019, arXiv 1907.06515): the content stays, the up-sampling trace is
new. They stand for no real generator. Weights are trained by generator_training.py and shipped.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dftiny.data.photos import seed_of
from dftiny.errors import DftError

SEEN = ("tconv", "nearest", "style")
HELD_OUT = ("pixshuf", "bilinear")
GENERATORS = SEEN + HELD_OUT
WEIGHTS = Path(__file__).with_name("generators.npz")
# Reflected margin around a crop, so that no fake shows a zero-padded border; a multiple of 8 keeps the phase.
MARGIN_PX = 16
STRENGTHS = ("strong", "weak")
TARGET_DB = 32.0
GAIN_RANGE = (0.75, 2.5)
FLOOR_DB = 33.0
FLOOR_MAX_GAIN = 3.0
# StyleGAN's separable [1, 3, 3, 1] low-pass behind every up-sampling.
FIR = (0.125, 0.375, 0.375, 0.125)


def _corners(weight: Tensor, first: int) -> None:
    """Let outputs c*4+q of a strided `weight` copy the four pixels of input channel c: no information is lost."""
    with torch.no_grad():
        for out in range(min(weight.shape[0], 4 * weight.shape[1])):
            channel, corner = divmod(out, 4)
            weight[out, channel, first + corner // 2, first + corner % 2] += 1.0


class Upsample(nn.Module):
    """One x2 stage of a kind, [n, inputs, H, W] to [n, outputs, 2H, 2W], started as the encoder's inverse."""

    def __init__(self, kind: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kind = kind
        if kind in ("tconv", "style"):
            self.conv: nn.Module = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)
        else:
            self.conv = nn.Conv2d(inputs, outputs * (4 if kind == "pixshuf" else 1), 3, 1, 1)
        self._start(inputs, outputs)
        if kind == "style":
            self.noise_gain = nn.Parameter(torch.full((1, outputs, 1, 1), 0.01))
            fir = torch.tensor(FIR)
            self.register_buffer("fir", torch.outer(fir, fir).repeat(outputs, 1, 1, 1), persistent=False)

    def _start(self, inputs: int, outputs: int) -> None:
        weight, bias = self.conv.weight, self.conv.bias
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            weight.normal_(0.0, 0.02)
            bias.zero_()
            if self.kind in ("tconv", "style"):
                # A transposed convolution's weight is [in, out, k, k]: the mirror of the encoder's.
                _corners(weight, first=1)
                return
            for source in range(min(inputs, 4 * outputs)):
                if self.kind == "pixshuf":
                    weight[source, source, 1, 1] += 1.0
                else:
                    weight[source // 4, source, 1, 1] += 0.25

    def forward(self, x: Tensor, noise: torch.Generator | None) -> Tensor:
        if self.kind == "tconv":
            return self.conv(x)  # type: ignore[no-any-return]
        if self.kind == "pixshuf":
            return functional.pixel_shuffle(self.conv(x), 2)
        if self.kind == "style":
            y = functional.pad(self.conv(x), (1, 2, 1, 2), mode="replicate")
            assert isinstance(self.fir, Tensor)
            y = functional.conv2d(y, self.fir, groups=y.shape[1])
            return y + self.noise_gain * torch.randn(y.shape[0], 1, *y.shape[2:], generator=noise)
        corners = None if self.kind == "nearest" else False
        return self.conv(functional.interpolate(x, scale_factor=2, mode=self.kind, align_corners=corners))  # type: ignore[no-any-return]


class Generator(nn.Module):
    """Encoder (two stride-2 convolutions), decoder (two up-sampling stages). [n, 3, H, W] in -1..1 to the same."""

    def __init__(self, kind: str, width: int = 16) -> None:
        super().__init__()
        code = 24 if kind in ("tconv", "pixshuf") else 48
        self.encode1 = nn.Conv2d(3, width, 4, 2, 1)
        self.encode2 = nn.Conv2d(width, code, 4, 2, 1)
        for conv in (self.encode1, self.encode2):
            with torch.no_grad():
                conv.weight.normal_(0.0, 0.01)
                assert conv.bias is not None
                conv.bias.zero_()
            _corners(conv.weight, first=1)
        self.up1 = Upsample(kind, code, width)
        self.up2 = Upsample(kind, width, 8)
        self.output = nn.Conv2d(8, 3, 3, 1, 1)
        with torch.no_grad():
            self.output.weight.normal_(0.0, 0.02)
            for channel in range(3):
                self.output.weight[channel, channel, 1, 1] += 1.0
            assert self.output.bias is not None
            self.output.bias.zero_()

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        # Shifted by one, the copied pixels are positive and pass LeakyReLU unchanged.
        y = functional.leaky_relu(self.encode1(x + 1.0), 0.2)
        y = functional.leaky_relu(self.encode2(y), 0.2)
        y = functional.leaky_relu(self.up1(y, noise), 0.2)
        y = functional.leaky_relu(self.up2(y, noise), 0.2)
        return self.output(y) - 1.0  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Faker:
    """A trained generator and its strength: fake = real + gain * (G(real) - real), see `fake`."""

    kind: str
    net: Generator
    gain: float
    floor: bool

    def fake(self, real: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """The fake of `real`, uint8 [H, W, 3] with sides a multiple of 4; noise is seeded by `name`.

        With the floor, a fake nearer than FLOOR_DB to `real` is amplified, by at most FLOOR_MAX_GAIN.
        """
        height, width = real.shape[:2]
        margin = ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0))
        padded = np.pad(real, margin, mode="reflect")
        # Channels last in memory (as permute leaves it, and as load_faker puts the weights): 40 % faster.
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        noise = torch.Generator().manual_seed(seed_of("noise", name) >> 1)
        with torch.no_grad():
            y = ((self.net(x, noise)[0] + 1.0) * 127.5).permute(1, 2, 0).numpy()
        y = y[MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width]
        trace = (y - real) * np.float32(self.gain)
        if self.floor:
            trace *= np.float32(_floor_gain(trace))
        pixels: NDArray[np.uint8] = np.clip(np.rint(real + trace), 0, 255).astype(np.uint8)
        return pixels


def _floor_gain(trace: NDArray[np.float32]) -> float:
    mse = float(np.mean(np.square(trace, dtype=np.float64)))
    wanted = 255.0**2 / 10 ** (FLOOR_DB / 10)
    return 1.0 if mse >= wanted else min(FLOOR_MAX_GAIN, float(np.sqrt(wanted / max(mse, 1e-9))))


def psnr_db(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two uint8 images in dB; infinite when they are equal."""
    mse = float(np.mean(np.square(a.astype(np.float64) - b)))
    return float("inf") if mse == 0 else 10 * float(np.log10(255.0**2 / mse))


def strength_gain(training_db: float, strength: str) -> float:
    """The gain of a generator whose mean PSNR on training crops is `training_db`.

    "strong" brings that mean to TARGET_DB within GAIN_RANGE; "weak" is half of it.
    """
    strong = float(np.clip(10 ** ((training_db - TARGET_DB) / 20), *GAIN_RANGE))
    return strong if strength == "strong" else strong / 2


def save_weights(path: Path, nets: dict[str, Generator], training_db: dict[str, float]) -> None:
    """Write all generators as float16 and their mean PSNR in dB into one .npz file."""
    arrays = {
        f"{k}/{n}": v.numpy().astype(np.float16)
        for k, net in nets.items()
        for n, v in net.state_dict().items()
    }
    arrays |= {f"{k}/training_db": np.array(db, dtype=np.float32) for k, db in training_db.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())


def load_faker(kind: str, strength: str = "strong", weights: Path = WEIGHTS) -> Faker:
    """The shipped generator `kind` at that strength. DftError when it is unknown or its weights are missing."""
    if kind not in GENERATORS or strength not in STRENGTHS:
        raise DftError(
            f"unknown generator or strength: {kind}, {strength}",
            f"known: {', '.join(GENERATORS)}; strong, weak",
        )
    if not weights.is_file():
        raise DftError(f"the generators' weights {weights} are missing", "install dftiny again")
    with torch.random.fork_rng(devices=[]):
        net = Generator(kind)
    with np.load(weights, allow_pickle=False) as arrays:
        state = {n: torch.from_numpy(arrays[f"{kind}/{n}"].astype(np.float32)) for n in net.state_dict()}
        training_db = float(arrays[f"{kind}/training_db"])
    net.load_state_dict(state)
    net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Faker(kind, net, strength_gain(training_db, strength), strength == "strong")
