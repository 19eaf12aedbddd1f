"""Source → model.onnx → model.tflite in a folder, passing every gate on the way; an int8 .tflite is taken as it is.
The last gate comes when the engine's C is written (export/engine.py).

Where int8 and float part too far, or `--explain` asks, the diagnosis is printed; cures are applied behind the converter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dftiny import graph as graphs
from dftiny import int8
from dftiny.artifact import write_json
from dftiny.diagnose import Cures
from dftiny.diagnose.cure import cured
from dftiny.diagnose.explain import Diagnosis, diagnose, lines
from dftiny.errors import CheckFailed, DftError
from dftiny.export import gates, host, lints, onnx, tflite, tiles
from dftiny.export.engine import Answered, engine_gate
from dftiny.export.progress import Progress
from dftiny.export.source import Source
from dftiny.plan import Plan

GATE_TILES = 32
FLOAT_GATES = ("float-int8", "int8-reference")
EXPLAIN, FLOAT_MODEL = "explain.json", "float.tflite"
NO_CURES = Cures()
DOUBTFUL_DB = 15.0  # above the gate's limit, but worth a word


@dataclass(frozen=True, eq=False)
class Made:
    """The int8 graph, the gates that it has passed, and the tiles and answers that the engine is held to."""

    graph: graphs.Graph
    passed: tuple[gates.Gate, ...]
    answered: Answered


def make_model(
    source: Source,
    folder: Path,
    threshold: float,
    progress: Progress,
    *,
    cures: Cures = NO_CURES,
    explain: bool = False,
) -> Made:
    """Write model.onnx and model.tflite into `folder`.

    `explain` prints where int8 and float part and leaves explain.json and the float model there too.
    Raises DftError when a layer cannot be converted, CheckFailed when a gate fails.
    """
    if source.tflite_path is not None:
        return _take_int8(source, source.tflite_path, folder, progress, cures, explain)
    onnx.require("onnx", "onnxsim", "onnxruntime", "tensorflow", "onnx2tf", "tf_keras")
    real = tiles.spread(source.calibration, GATE_TILES)
    hard = np.concatenate([real, source.golden, tiles.synthetic(source.size)])
    path = folder / "model.onnx"
    passed: list[gates.Gate] = []
    with progress.step("ONNX"):
        passed.append(_to_onnx(source, path, real, progress))
        logits = onnx.run_onnx(path, real)
    with progress.step("int8 TFLite (onnx2tf, TFLiteConverter)"):
        converted = tflite.convert(path, source.calibration, hard)
    passed.append(gates.same_float("onnx-keras", logits, converted.keras[: len(real)]))
    converted = _improved(source, converted, hard, cures, progress)
    (folder / "model.tflite").write_bytes(converted.model)
    g = graphs.load(converted.model, name=source.name)
    if explain:
        (folder / FLOAT_MODEL).write_bytes(converted.floats)
        found = _explained(source, converted, progress)
        write_json(folder / EXPLAIN, found.as_json())
    with progress.step(f"gates: oracle, TFLite reference kernels, TFLM on {len(hard)} tiles"):
        x = int8.from_pixels(hard)
        outputs = int8.run(g, x)
        passed.append(
            _float_gate(source, converted, logits, outputs[: len(real)], threshold, explain, progress)
        )
        passed.append(gates.same_bits("int8-reference", outputs, converted.reference, g))
        passed.append(gates.tflm_bits(converted.model, x, outputs, g))
    _say_gates(passed, progress)
    return Made(g, tuple(passed), Answered(x, outputs, len(real)))


def _improved(
    source: Source, converted: tflite.Converted, hard: np.ndarray, cures: Cures, progress: Progress
) -> tflite.Converted:
    """The converted model with other scales, weights and biases, and the reference kernels' answers to it."""
    if not cures.any:
        return converted
    from threadpoolctl import threadpool_limits

    # With another number of threads sums of floats are taken in another order, and the int8 model is another one.
    with (
        progress.step("int8 numbers of our own (ranges, equalisation, biases)"),
        threadpool_limits(1, user_api="blas"),
    ):
        seen = tiles.with_extremes(source.calibration)
        made = cured(converted.separate, converted.floats, seen, cures, source.name)
        reference = tflite.reference(made.model, hard)
    figures = ", ".join(f"{k} {v:.1f} dB" for k, v in made.sqnr_db.items())
    progress.say(f"calibration {made.method} ({figures} on the calibration tiles)")
    return replace(converted, model=made.model, separate=made.model, floats=made.floats, reference=reference)


def _explained(source: Source, converted: tflite.Converted, progress: Progress) -> Diagnosis:
    """The diagnosis of what was converted, printed."""
    g = graphs.load(converted.model, name=source.name)
    found = diagnose(g, source.calibration, model=converted.separate, floats=converted.floats)
    for line in lines(found):
        progress.say(line)
    return found


def _float_gate(
    source: Source,
    converted: tflite.Converted,
    logits: np.ndarray,
    outputs: np.ndarray,
    threshold: float,
    explained: bool,
    progress: Progress,
) -> gates.Gate:
    """The gate float-int8. When it fails, the diagnosis is printed and its best suggestion is the error's hint."""
    g = graphs.load(converted.model, name=source.name)
    try:
        gate = _float_int8(g, logits, outputs, threshold)
    except CheckFailed as e:
        try:
            found = _explained(source, converted, progress)
        except DftError:  # no twin to compare with: the gate's own words must do
            raise e from None
        raise CheckFailed(e.cause, advice(found) or e.hint) from e
    if gate.figures["sqnr_db"] < DOUBTFUL_DB and not explained:
        progress.say(f"int8 is at {gate.figures['sqnr_db']:.1f} dB of float: export with --explain says why")
    return gate


def advice(found: Diagnosis) -> str:
    """The likeliest cause and the options that helped most where they were tried; "" where nothing was found."""
    if not found.causes:
        return ""
    first = found.causes[0]
    where = f"operator {first.op}" + ("" if first.channel is None else f", channel {first.channel}")
    attempt = first.attempt
    if found.trials and found.trials[0].logits_db > found.measured.logits_db:
        best = found.trials[0]
        attempt = f"dftiny export {best.options} (gives {best.logits_db:.1f} dB)"
    return f"{first.kind} at {where}; try {attempt}"


def _take_int8(
    source: Source, path: Path, folder: Path, progress: Progress, cures: Cures, explain: bool
) -> Made:
    """Copy an int8 model and pass the gates that need no float model; the others are named as absent."""
    if cures.any:
        raise DftError(
            f"{path} is int8 already, and its float weights are gone",
            "give the checkpoint or the ONNX model to choose calibration, equalisation or biases",
        )
    model = path.read_bytes()
    (folder / "model.tflite").write_bytes(model)
    g = graphs.load(model, name=source.name)
    if explain:
        found = diagnose(g, source.golden)
        for line in lines(found):
            progress.say(line)
        write_json(folder / EXPLAIN, found.as_json())
    hard = np.concatenate([source.golden, tiles.synthetic(source.size)])
    without = [gates.Gate(name, "absent", 0, reason="the source is int8 already") for name in FLOAT_GATES]
    with progress.step(f"gates: oracle, TFLM on {len(hard)} tiles"):
        x = int8.from_pixels(hard)
        outputs = int8.run(g, x)
        passed = [*without, gates.tflm_bits(model, x, outputs, g)]
    _say_gates(passed, progress)
    return Made(g, tuple(passed), Answered(x, outputs, 0))


def _say_gates(passed: Sequence[gates.Gate], progress: Progress) -> None:
    for gate in passed:
        progress.say(_line(gate))


def engine_step(
    folder: Path, placed: Plan, made: Made, progress: Progress
) -> tuple[gates.Gate, dict[str, str]]:
    """The gate of the engine's C in `folder`, said, and the compiler's version for the manifest.

    CheckFailed when a bit differs.
    """
    cc = host.compiler()
    if cc is None:
        gate = engine_gate(folder, placed, made.answered, None)
    else:
        with progress.step(
            "gate: the engine's C on this computer" + (", with sanitizers" if cc.sanitize else "")
        ):
            gate = engine_gate(folder, placed, made.answered, cc)
    _say_gates([gate], progress)
    return gate, {"cc": "absent" if cc is None else cc.version}


def report(passed: Sequence[gates.Gate]) -> dict[str, Any]:
    """What gates.json holds."""
    absent = [p.name for p in passed if p.status == "absent"]
    return {"schema": 1, "gates": [p.as_json() for p in passed], "absent": absent}


def _to_onnx(source: Source, path: Path, real: np.ndarray, progress: Progress) -> gates.Gate:
    if source.checkpoint is not None:
        _say_lints(onnx.from_checkpoint(source.checkpoint, path), progress)
        return gates.same_float(
            "torch-onnx", run_torch(source.checkpoint.net, real), onnx.run_onnx(path, real)
        )
    assert source.onnx_path is not None
    found = onnx.from_onnx(
        source.onnx_path, path, normalisation=source.normalisation, layout=source.layout, size=source.size
    )
    _say_lints(found, progress)
    before = onnx.run_foreign(source.onnx_path, real, source.normalisation, source.layout)
    return gates.same_float("foreign-onnx", before, onnx.run_onnx(path, real))


def _say_lints(found: tuple[lints.Lint, ...], progress: Progress) -> None:
    for line in lints.lines(found):
        progress.say(line)


def run_torch(net: Any, pixels: np.ndarray) -> np.ndarray:
    """Logits float32[n, K] of uint8 tiles [n, H, W, 3], on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            batches = (torch.from_numpy(t[None].transpose(0, 3, 1, 2).astype(np.float32)) for t in pixels)
            return np.concatenate([net(b).numpy() for b in batches])
    finally:
        torch.set_num_threads(threads)


def _float_int8(g: graphs.Graph, logits: np.ndarray, outputs: np.ndarray, threshold: float) -> gates.Gate:
    saturated = float(((outputs == 127) | (outputs == -128)).mean())
    return gates.quantised(logits, int8.to_real(g, outputs), threshold, saturated)


def _line(gate: gates.Gate) -> str:
    figures = ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in gate.figures.items())
    return f"gate {gate.name}: {gate.status}{' — ' + gate.reason if gate.reason else ''} {figures}"
