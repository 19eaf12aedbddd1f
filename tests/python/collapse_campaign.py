"""`tools/campaign collapse`: are collapses made on purpose found, named, and cured by what is printed?

Five nets (the released one, and four with ReLU that are trained here) × draws of layer, channel and factor 30…1000, each
through the real converter. A draw counts when int8 lost by it; "named" is the damaged layer and channel among
the first two causes; "cured" is the AUC after exporting with the options of that cause, within 0.01 of the undamaged int8's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import collapse
import numpy as np
import onnx as onnx_package

from dftiny import graph as graphs
from dftiny import int8
from dftiny.artifact import write_json
from dftiny.data.index import load_index, read_image
from dftiny.data.tiles import tiles as cut
from dftiny.diagnose import Cures
from dftiny.diagnose.cure import cured
from dftiny.diagnose.explain import Diagnosis, diagnose
from dftiny.diagnose.floats import WEIGHTED, FloatNet
from dftiny.errors import DftError
from dftiny.export import onnx as stage
from dftiny.export import tflite, tflm
from dftiny.export.tiles import load_tiles, with_extremes
from dftiny.metrics import auc

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "models/phinet_demo_128.demo"
CALIBRATION, TILES_AN_IMAGE, EVERY = 96, 3, 3
LOST, CLOSE = 0.01, 0.01  # AUC: what a collapse must cost at least, and how near a cure must come
MAX_TRIES = 12  # draws a net and collapse before giving up
GOOD = 18 / 20


@dataclass(frozen=True, eq=False)
class Subject:
    """A net as ONNX, its tiles (calibration, and test with labels), the AUC of its sound int8 model, and whether the
    diagnosis names an outlier channel among the first two causes of that sound model: a false alarm."""

    name: str
    onnx: Path
    calibration: np.ndarray
    tiles: np.ndarray
    labels: np.ndarray
    auc_int8: float
    false_alarm: bool = False


@dataclass(frozen=True)
class Outcome:
    """One draw. `named`: the place of the damaged layer and channel among the causes (1 is the first), 0 if absent."""

    net: str
    layer: str
    reader: str
    channel: int
    factor: float
    auc_sound: float
    auc_damaged: float
    auc_cured: float
    named: int
    attempt: str
    tflm_equal: bool | None

    @property
    def cured(self) -> bool:
        """Within CLOSE of the undamaged int8."""
        return self.auc_cured >= self.auc_sound - CLOSE


def test_tiles(data: Path, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """A fixed subset of the test images' tiles, uint8 [n, tile, tile, 3], and 1 for real."""
    rows = [r for r in load_index(data).images if r.split == "test" and r.sharing == "pre"][::EVERY]
    found, labels = [], []
    for row in rows:
        some = cut(read_image(data, row), tile)
        some = some[np.linspace(0, len(some) - 1, TILES_AN_IMAGE).astype(int)]
        found.append(some)
        labels += [row.target] * len(some)
    return np.concatenate(found), np.array(labels)


def auc_of(model: bytes, tiles: np.ndarray, labels: np.ndarray) -> float:
    """AUC of an int8 model's tile logits."""
    return auc(labels, int8.run_oracle(graphs.load(model), tiles).reshape(len(tiles)))


def subject(name: str, net: Any, tile: int, data: Path, folder: Path) -> Subject:
    """`net` converted once, undamaged."""
    from dftiny.nets.checkpoint import Checkpoint

    path = folder / f"{name}.onnx"
    stage.from_checkpoint(Checkpoint(net, name, tile, 0.0, ("fake", "real"), ""), path)
    calibration = load_tiles(data, (tile, tile), CALIBRATION)
    tiles, labels = test_tiles(data, tile)
    sound = tflite.convert(path, calibration, calibration[:2])
    found = diagnose(graphs.load(sound.model, name=name), calibration, floats=sound.floats, trials=False)
    alarm = any(c.kind == "outlier channel" for c in found.causes[:2])
    return Subject(name, path, calibration, tiles, labels, auc_of(sound.model, tiles, labels), alarm)


def place_of(graph: graphs.Graph, net: FloatNet, model: Any, site: collapse.Site) -> set[int]:
    """Operators of the int8 graph that write the damaged channel: the layer and what lies between it and its reader."""
    layers = [op for op in graph.ops if op.kind in WEIGHTED]
    kernels = [net.constants[op.inputs[1]] for op in layers]
    i = collapse.same_weights(kernels, collapse.constant(model, site.weights))
    j = collapse.same_weights(kernels, collapse.constant(model, site.reader_weights))
    if i is None or j is None:
        raise DftError(f"layer {site.layer} is not to be found in the int8 model")
    return set(range(layers[i].index, layers[j].index))


def attempt_of(text: str) -> Cures:
    """The printed options, read as the command line would."""
    words = text.split()
    method = (
        words[words.index("--calibration-method") + 1] if "--calibration-method" in words else "converter"
    )
    return Cures(method, "--equalise" in words, "--correct-bias" in words)  # type: ignore[arg-type]


def named(found: Diagnosis, places: set[int], channel: int) -> int:
    """1 for the first cause, 0 for none."""
    for i, c in enumerate(found.causes, 1):
        if c.kind == "outlier channel" and c.op in places and c.channel == channel:
            return i
    return 0


def run_draw(
    s: Subject, site: collapse.Site, channel: int, factor: float, *, weak: bool = False
) -> Outcome | None:
    """One collapse through converter, diagnosis and cure; None where int8 lost nothing by it (unless `weak`)."""
    model = collapse.collapse(collapse.load(s.onnx), site, channel, factor)
    with tempfile.TemporaryDirectory(prefix="dftiny-collapse-") as name:
        path = Path(name) / "damaged.onnx"
        onnx_package.save(model, str(path))
        converted = tflite.convert(path, s.calibration, s.calibration[:2])
    damaged = auc_of(converted.model, s.tiles, s.labels)
    if damaged > s.auc_int8 - LOST and not weak:
        return None
    graph = graphs.load(converted.model, name=s.name)
    found = diagnose(graph, s.calibration, model=converted.separate, floats=converted.floats, trials=False)
    place = named(found, place_of(graph, found.measured.net, model, site), channel)
    attempt = found.causes[place - 1 if place else 0].attempt if found.causes else ""
    calibration = with_extremes(s.calibration)
    healed = cured(converted.separate, converted.floats, calibration, attempt_of(attempt), s.name).model
    x = int8.from_pixels(s.tiles[:8])
    equal = None
    if tflm.available():
        equal = bool(np.array_equal(tflm.run_tflm(healed, x), int8.run(graphs.load(healed), x)))
    after = auc_of(healed, s.tiles, s.labels)
    return Outcome(
        s.name, site.layer, site.reader, channel, factor, s.auc_int8, damaged, after, place, attempt, equal
    )


def draws(s: Subject, count: int, seed: int) -> tuple[list[Outcome], int]:
    """(`count` collapses of one net, how many draws int8 did not feel)."""
    rng = np.random.default_rng(seed)
    model = collapse.load(s.onnx)
    open_to = [site for site in collapse.sites(model) if not collapse.shared(model, site)]
    outcomes: list[Outcome] = []
    unfelt = 0
    while len(outcomes) < count and unfelt < MAX_TRIES * count:
        site = open_to[int(rng.integers(len(open_to)))]
        channel, factor = (
            int(rng.integers(site.channels)),
            float(np.exp(rng.uniform(np.log(30), np.log(1000)))),
        )
        outcome = run_draw(s, site, channel, factor)
        unfelt += outcome is None
        outcomes += [outcome] if outcome is not None else []
        if outcome is not None:
            print(line(outcome), flush=True)
    return outcomes, unfelt


def line(o: Outcome) -> str:
    """One draw, for people."""
    return (
        f"{o.net:14} {o.layer:24} channel {o.channel:3} × {o.factor:6.0f}: AUC {o.auc_sound:.3f} → {o.auc_damaged:.3f} → "
        f"{o.auc_cured:.3f} with {o.attempt}; named {o.named or 'not at all'}"
    )


def subjects(data: Path, folder: Path) -> Mapping[str, tuple[Any, int]]:
    """The five nets with their tile sizes."""
    from collapse_nets import NETS, TILE, trained

    from dftiny.nets.checkpoint import load_checkpoint

    released = load_checkpoint(RELEASED)
    found: dict[str, tuple[Any, int]] = {"phinet_demo": (released.net, released.tile)}
    for name in NETS:
        found[name] = (trained(name, data, folder), TILE)
    return found


def main(arguments: list[str]) -> int:
    """The campaign; exit 0 when enough collapses were named among the first two causes and all named ones cured."""
    parser = argparse.ArgumentParser(
        prog="tools/campaign collapse", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", type=Path, default=Path("dftiny-runs/data"), help="demo data (dftiny data)")
    parser.add_argument("--draws", type=int, default=20, metavar="N", help="collapses in all (default 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "build/campaign/collapse.json", metavar="FILE")
    args = parser.parse_args(arguments)
    folder = args.output.parent / "collapse"
    folder.mkdir(parents=True, exist_ok=True)
    nets = subjects(args.data, folder)
    outcomes: list[Outcome] = []
    unfelt = alarms = 0
    for i, (name, (net, tile)) in enumerate(nets.items()):
        s = subject(name, net, tile, args.data, folder)
        alarms += s.false_alarm
        share = args.draws // len(nets) + (i < args.draws % len(nets))
        some, without = draws(s, share, args.seed * 1000 + i)
        outcomes, unfelt = outcomes + some, unfelt + without
    return summary(outcomes, unfelt, alarms, args.output)


def summary(outcomes: list[Outcome], unfelt: int, alarms: int, output: Path) -> int:
    """What came out, and the exit code."""
    early = [o for o in outcomes if 1 <= o.named <= 2]
    healed = [o for o in outcomes if o.cured]
    unequal = [o for o in outcomes if o.tflm_equal is False]
    print(
        f"{len(outcomes)} collapses ({unfelt} draws more that int8 did not feel): {len(early)} named among the first two "
        f"causes, {len(healed)} cured to within {CLOSE} AUC by what was printed, {len(unequal)} unequal to TFLM; "
        f"{alarms} sound nets with an outlier channel among theirs"
    )
    write_json(output, {"outcomes": [asdict(o) for o in outcomes], "unfelt": unfelt, "false_alarms": alarms})
    print(f"record: {output}")
    enough = len(outcomes) and len(early) >= GOOD * len(outcomes) and len(healed) >= GOOD * len(outcomes)
    return 0 if enough and not unequal else 1
