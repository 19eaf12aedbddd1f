"""The bundle: what a model is for everybody after the export — build, bench, report, and the user's own firmware.

`export` makes it (source → ONNX → int8 → gates → budget → plan → C → the engine's gate), `load_bundle` opens and verifies it.
bundle.json says what it is; the SHA-256 of its canonical JSON is the bundle digest, which the generated C
carries and a device answers in `hello`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dftiny import graph as graphs
from dftiny import int8
from dftiny.artifact import (
    MANIFEST,
    Manifest,
    atomic_write,
    canonical_json,
    new_folder,
    read_json,
    read_manifest,
    sha256_file,
    tool_versions,
    write_json,
    write_manifest,
)
from dftiny.errors import CheckFailed, DftError
from dftiny.plan import DEFAULT_WISHES, Plan, Wishes
from dftiny.verdict import file as verdicts
from dftiny.verdict.file import VerdictFile, load_verdict, save_verdict
from dftiny.verdict.model import VerdictModel, verdict_model

if TYPE_CHECKING:
    from dftiny.diagnose import Cures
    from dftiny.export.progress import Progress
    from dftiny.export.source import Reading, Source
    from dftiny.target import Target

SCHEMA = 1
ENGINE = "aot"
VERDICT = verdicts.NAME
BUNDLE, MODEL, GATES, BUDGET = "bundle.json", "model.tflite", "gates.json", "budget.json"
GOLDEN_INPUTS, GOLDEN_OUTPUTS = "golden/inputs.npy", "golden/outputs.npy"
MIN_GOLDEN = 4
CHECKPOINT = "checkpoint.safetensors"
TOOLS = ("torch", "onnx", "onnxruntime", "onnxsim", "onnx2tf", "tensorflow", "tflite-micro", "numpy")


@dataclass(frozen=True)
class BundleOp:
    """One operator of the model, for tables: its MACs and the name of what it computes."""

    index: int
    kind: str
    macs: int
    name: str


@dataclass(frozen=True)
class BundleRegion:
    """Activation bytes that the model needs in one memory region."""

    name: str
    bytes: int
    align: int


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Shapes are without the batch: input (H, W, 3), output (K,). `threshold` is an image logit;
    `verdict` None where the model came without one."""

    folder: Path
    name: str
    digest: bytes
    model_sha256: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_scale: float
    output_zero_point: int
    classes: tuple[str, ...]
    positive: str
    threshold: float
    tile: int
    target: str
    engine: str
    regions: tuple[BundleRegion, ...]
    ops: tuple[BundleOp, ...]
    macs: int
    input_by_rows: bool
    verdict: VerdictModel | None
    manifest: Manifest

    def graph(self) -> graphs.Graph:
        """The int8 model."""
        return graphs.load(self.folder / MODEL, name=self.name)

    def golden(self) -> tuple[np.ndarray, np.ndarray]:
        """(inputs int8[n, H, W, 3], outputs int8[n, K]): tiles whose answer is known."""
        return np.load(self.folder / GOLDEN_INPUTS), np.load(self.folder / GOLDEN_OUTPUTS)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """Real logits float32[n] or [n, K] of int8 outputs [n, K]: one column is dropped to [n]."""
        real = (outputs.astype(np.float32) - self.output_zero_point) * np.float32(self.output_scale)
        return real[:, 0] if real.shape[1] == 1 else real


def load_bundle(folder: Path) -> Bundle:
    """Open and verify a bundle. DftError when it is none, CheckFailed when a file of it was changed."""
    manifest = read_manifest(folder, "bundle")
    info = read_json(folder / BUNDLE, "bundle")
    try:
        if info["schema"] != SCHEMA:
            raise DftError(
                f"{folder} has bundle schema {info['schema']}, this dftiny reads {SCHEMA}", "export it again"
            )
        bundle = _bundle(folder, info, manifest)
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(
            f"{folder / BUNDLE} is not a dftiny bundle (missing or wrong: {e})", "run dftiny export"
        ) from e
    if sha256_file(folder / MODEL) != bundle.model_sha256:
        raise CheckFailed(f"{folder / MODEL} is not the model that bundle.json names", "export it again")
    return bundle


def _bundle(folder: Path, info: Mapping[str, Any], manifest: Manifest) -> Bundle:
    return Bundle(
        folder=folder,
        name=str(info["name"]),
        digest=bundle_digest(info),
        model_sha256=str(info["model_sha256"]),
        input_shape=tuple(int(d) for d in info["input"]["shape"]),
        output_shape=tuple(int(d) for d in info["output"]["shape"]),
        output_scale=float(info["output"]["scale"]),
        output_zero_point=int(info["output"]["zero_point"]),
        classes=tuple(str(c) for c in info["classes"]),
        positive=str(info["positive"]),
        threshold=float(info["threshold"]),
        tile=int(info["tile"]),
        target=str(info["target"]),
        engine=str(info["engine"]),
        regions=tuple(
            BundleRegion(str(r["name"]), int(r["bytes"]), int(r["align"])) for r in info["regions"]
        ),
        ops=tuple(
            BundleOp(int(o["index"]), str(o["kind"]), int(o["macs"]), str(o["name"])) for o in info["ops"]
        ),
        macs=int(info["macs"]),
        input_by_rows=bool(info.get("input_by_rows", False)),
        verdict=verdict_model(info["verdict"]) if "verdict" in info else None,
        manifest=manifest,
    )


def bundle_digest(info: Mapping[str, Any]) -> bytes:
    """32 bytes: SHA-256 of the canonical JSON of bundle.json."""
    return hashlib.sha256(canonical_json(info)).digest()


@dataclass(frozen=True, eq=False)
class Labels:
    """What the outputs mean."""

    name: str
    classes: tuple[str, ...]
    positive: str
    threshold: float


@dataclass(frozen=True)
class Fit:
    """The chip that a bundle must fit, its limit of MACs (None: the target's own), and what the planner is asked for."""

    target: str = "stm32h743"
    max_macs: int | None = None
    wishes: Wishes = DEFAULT_WISHES


DEFAULT_FIT = Fit()


@dataclass(frozen=True, eq=False)
class Laid:
    """A bundle's folder with everything but its manifest: what bundle.json says, and the plan behind the C."""

    folder: Path
    info: Mapping[str, Any]
    plan: Plan


def write_bundle(
    folder: Path,
    labels: Labels,
    golden: np.ndarray,
    *,
    fit: Fit = DEFAULT_FIT,
    verdict: VerdictFile | None = None,
    parents: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Bundle:
    """lay_out and seal, for a model that no gate judges."""
    laid = lay_out(folder, labels, golden, fit=fit, verdict=verdict)
    return seal(laid, parents=parents, config=config, metrics=metrics)


def lay_out(
    folder: Path,
    labels: Labels,
    golden: np.ndarray,
    *,
    fit: Fit = DEFAULT_FIT,
    verdict: VerdictFile | None = None,
) -> Laid:
    """Complete `folder`, which holds model.tflite (and what else the export left), but for the manifest: budget, plan,
    bundle.json, golden files, the model's C.

    `golden` are int8 tiles [n, H, W, 3]. CheckFailed when the model does not fit the target.
    """
    from dftiny.target import load_target

    g = graphs.load(folder / MODEL, name=labels.name)
    chip = load_target(fit.target)
    judge = None if verdict is None else _judge(folder, g, verdict)
    placed = _placed(folder, g, chip, fit, judge)
    aligns = {r.name: r.align for r in chip.regions}
    regions = [BundleRegion(n, b, aligns[n]) for n, b in placed.region_bytes.items()]
    info = _info(folder, g, labels, fit.target, regions) | {"input_by_rows": fit.wishes.input_by_rows}
    info |= {} if judge is None else {"verdict": judge.as_json()}
    write_json(folder / BUNDLE, info)
    for name, array in ((GOLDEN_INPUTS, golden), (GOLDEN_OUTPUTS, int8.run(g, golden))):
        with atomic_write(folder / name) as f:
            np.save(f, array)
    _write_c(folder, g, placed, bundle_digest(info), aligns)
    return Laid(folder, info, placed)


def seal(
    laid: Laid,
    *,
    parents: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    tools: Mapping[str, str] | None = None,
) -> Bundle:
    """Write the manifest, with everything that lies in the folder. `tools` are versions beside those of TOOLS."""
    folder, info = laid.folder, laid.info
    named = {"name": info["name"], "target": info["target"], "bundle_digest": bundle_digest(info).hex()}
    manifest = write_manifest(
        folder,
        "bundle",
        files=[p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()],
        parents=parents,
        config=named | dict(config or {}),
        metrics={"macs": info["macs"], "regions": dict(laid.plan.region_bytes), **(metrics or {})},
        tools={**tool_versions(*TOOLS), **(tools or {})},
    )
    return _bundle(folder, info, manifest)


def _placed(folder: Path, g: graphs.Graph, chip: Target, fit: Fit, judge: VerdictModel | None) -> Plan:
    """The plan of the model on `chip`, its budget written beside it. CheckFailed when it does not fit."""
    from dftiny.budget import budget

    tables = 0 if judge is None else judge.flash_bytes
    found = budget(g, chip, ENGINE, max_macs=fit.max_macs, wishes=fit.wishes, verdict_bytes=tables)
    write_json(folder / BUDGET, found.as_json())
    found.require()
    assert found.plan is not None  # a model that fits has a plan
    return found.plan


def _write_c(folder: Path, g: graphs.Graph, placed: Plan, digest: bytes, aligns: Mapping[str, int]) -> None:
    """The model's C in src/, and in selftest/ the calls that a board tries one by one."""
    from dftiny.codegen.model_c import model_c
    from dftiny.codegen.selftest_c import selftest_c

    sources = model_c(g, placed, bundle_digest=digest, aligns=aligns)
    for below, texts in (("src", sources), ("selftest", selftest_c(placed))):
        for name, text in texts.items():
            with atomic_write(folder / below / name, "w") as f:
                f.write(text)


def _judge(folder: Path, g: graphs.Graph, verdict: VerdictFile) -> VerdictModel:
    """The verdict's integers for this int8 model; the file goes with the bundle. DftError where they do not belong together."""
    if g.output.shape[1:] != (1,) or g.input.shape[1] != verdict.tile:
        raise DftError(
            f"the verdict is for a model with one logit and tiles of {verdict.tile} px, {g.name} is another",
            "fit one with: dftiny verdict",
        )
    save_verdict(folder / VERDICT, verdict)
    return verdict.model(g.output.scale, g.output.zero_point)


def _info(
    folder: Path, g: graphs.Graph, labels: Labels, target: str, regions: Sequence[BundleRegion]
) -> dict[str, Any]:
    operators = g.operators
    macs = [graphs.macs(g, op) for op in operators]
    return {
        "schema": SCHEMA,
        "name": labels.name,
        "model_sha256": sha256_file(folder / MODEL),
        "input": {"shape": list(g.input.shape[1:]), "scale": g.input.scale, "zero_point": g.input.zero_point},
        "output": {
            "shape": list(g.output.shape[1:]),
            "scale": g.output.scale,
            "zero_point": g.output.zero_point,
        },
        "classes": list(labels.classes),
        "positive": labels.positive,
        "threshold": labels.threshold,
        "tile": g.input.shape[1],
        "target": target,
        "engine": ENGINE,
        "regions": [{"name": r.name, "bytes": r.bytes, "align": r.align} for r in regions],
        "ops": [
            {"index": op.index, "kind": op.kind, "macs": m, "name": _layer_name(g, op)}
            for op, m in zip(operators, macs, strict=True)
        ],
        "macs": sum(macs),
    }


def _layer_name(g: graphs.Graph, op: graphs.Op) -> str:
    """The converter joins the names of what it fused with ';': the first one, shortened, tells enough."""
    return g.tensors[op.outputs[0]].name.split(";")[0][:80]


def labels_for(name: str, k: int, classes: Sequence[str] | None, threshold: float) -> Labels:
    """Class names for K outputs: one logit or two classes are fake and real, positive = real."""
    wanted = max(2, k)
    if classes is None:
        classes = ("fake", "real") if wanted == 2 else tuple(f"class {i}" for i in range(k))
    if len(classes) != wanted:
        raise DftError(f"{name} has {k} outputs, {len(classes)} class names do not fit them")
    positive = "real" if "real" in classes else classes[-1]
    return Labels(name, tuple(classes), positive, threshold)


def _released_source(progress: Progress) -> Path:
    """The released model: its checkpoint where it can be converted, else its int8 model."""
    from dftiny.export.source import converter_installed
    from dftiny.models import released_model

    if converter_installed():
        return released_model()
    progress.say("the converter is not installed (dftiny[export]): taking the released int8 model as it is")
    return released_model() / MODEL


def _verdict_of(source: Path, given: Path | None) -> VerdictFile | None:
    """The verdict that the user names, else the one that lies beside the model of a released folder or a bundle."""
    if given is not None:
        return load_verdict(given)
    beside = source / VERDICT if source.is_dir() else source.parent / VERDICT
    ours = source.is_dir() or source.name in (MODEL, CHECKPOINT)
    return load_verdict(beside) if ours and beside.is_file() else None


def cures_of(source: Path) -> Cures | None:
    """The cures that a released model says it was exported with; None for everything else."""
    if not (source.is_dir() and (source / MANIFEST).is_file()):
        return None
    from dftiny.diagnose import Cures

    made = read_manifest(source)
    return Cures(**made.config["cures"]) if made.stage == "model" and "cures" in made.config else None


def _require_golden(n: int) -> None:
    if n < MIN_GOLDEN:
        raise DftError(f"there are {n} golden tiles, a bundle needs {MIN_GOLDEN}", "give more tiles")


def _source_config(given: Source, cures: Cures) -> dict[str, Any]:
    """What the manifest keeps of the source, and of what was done to the converter's model."""
    normalisation = None if given.normalisation is None else asdict(given.normalisation)
    config = {"calibration_tiles": len(given.calibration), "normalisation": normalisation}
    return {**config, "cures": asdict(cures)} if cures.any else config


def export(
    source: Path | None = None,
    *,
    out: Path,
    reading: Reading | None = None,
    fit: Fit = DEFAULT_FIT,
    threshold: float | None = None,
    classes: Sequence[str] | None = None,
    verdict: Path | None = None,
    cures: Cures | None = None,
    explain: bool = False,
    library: Path | None = None,
    quiet: bool = False,
) -> Manifest:
    """Export `source` (default: the released model) into the bundle folder `out`; nothing half-written stays.

    `reading` says what the source leaves open (tiles, net, normalisation), `fit` the chip. `threshold`, `classes` and
    `verdict` (a verdict.json) default to the source's own. `cures` choose calibration, equalisation and biases instead
    of the converter's; `explain` says where int8 and float part. `library` is a further folder to write, the bundle as
    C for other firmware (library.py).

    Raises DftError for bad input and for a layer that cannot be converted, CheckFailed when a gate fails or the
    model is over budget.
    """
    from dftiny.export.progress import Progress
    from dftiny.export.source import Reading, open_source
    from dftiny.export.stages import NO_CURES, engine_step, make_model, report
    from dftiny.library import refuse_library, write_library
    from dftiny.target import load_target

    load_target(fit.target)  # a misspelt target is said before anything slow
    if library is not None:
        refuse_library(library, out)
    progress = Progress(quiet)
    source = source or _released_source(progress)
    judging = _verdict_of(source, verdict)
    cures = (cures if cures and cures.any else cures_of(source)) or NO_CURES
    given = open_source(source, reading or Reading())
    _require_golden(len(given.golden))
    limit = given.threshold if threshold is None else threshold
    with new_folder(out, stage="bundle") as folder:
        model = make_model(given, folder, limit, progress, cures=cures, explain=explain)
        labels = labels_for(given.name, model.graph.output.shape[1], classes or given.classes, limit)
        with progress.step(f"budget for {fit.target}, plan, C code"):
            laid = lay_out(folder, labels, int8.from_pixels(given.golden), fit=fit, verdict=judging)
        gate, compiler = engine_step(folder / "src", laid.plan, model, progress)
        gates = report((*model.passed, gate))
        write_json(folder / GATES, gates)
        config = _source_config(given, cures)
        made = seal(laid, parents=given.parents, config=config, metrics={"gates": gates}, tools=compiler)
    progress.say(f"{made.name}: bundle {made.digest.hex()[:12]} in {out}")
    if library is not None:
        written = write_library(load_bundle(out), library)
        progress.say(f"{made.name}: C library in {library}, its example {written.metrics['example']}")
    return made.manifest
