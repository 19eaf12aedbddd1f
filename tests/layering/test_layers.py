"""Who may know whom: held from the AST of every Python module and the #include lines of every C file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "dftiny"
FIRMWARE = ROOT / "firmware"

# Lower may not import higher. The longest matching prefix decides.
LEVEL = {
    "dftiny": 0,
    "dftiny.errors": 0,
    "dftiny.artifact": 0,
    "dftiny.spec": 0,
    # domain: numpy and small pure libraries
    "dftiny.graph": 1,
    "dftiny.int8": 1,
    "dftiny.diagnose": 1,
    "dftiny.target": 1,
    "dftiny.steps": 1,
    "dftiny.rewrite": 1,
    "dftiny.elf": 1,
    "dftiny.kernels": 1,
    "dftiny.plan": 1,
    "dftiny.schedule_bound": 1,
    "dftiny.schedule_check": 1,
    "dftiny.schedule_cut": 1,
    "dftiny.schedule_order": 1,
    "dftiny.schedule_steps": 1,
    "dftiny.budget": 1,
    "dftiny.code_size": 1,
    "dftiny.cost": 1,
    "dftiny.vectors": 1,
    "dftiny.metrics": 1,
    "dftiny.verdict": 1,
    "dftiny.verdict.validation": 3,
    "dftiny.verdict.study": 3,
    "dftiny.verdict.exported": 3,
    "dftiny.verdict.identity": 3,
    "dftiny.data.index": 1,
    "dftiny.data.tiles": 1,
    "dftiny.link.frame": 1,
    "dftiny.link.messages": 1,
    # adapters: torch, the converter, code as text, serial ports
    "dftiny.data": 2,
    "dftiny.nets": 2,
    "dftiny.train": 2,
    "dftiny.export": 2,
    "dftiny.codegen": 2,
    "dftiny.link": 2,
    "dftiny.stack": 2,
    # use cases
    "dftiny.bundle": 3,
    "dftiny.library": 3,
    "dftiny.diagnosis": 3,
    "dftiny.evaluate": 3,
    "dftiny.detect": 3,
    "dftiny.build": 3,
    "dftiny.counting": 3,
    "dftiny.bench": 3,
    "dftiny.fault": 3,
    "dftiny.selftest": 3,
    "dftiny.share": 3,
    "dftiny.compare": 3,
    "dftiny.engines": 3,
    "dftiny.report": 3,
    "dftiny.flash": 3,
    "dftiny.doctor": 3,
    "dftiny.budget_view": 3,
    "dftiny.plan_view": 3,
    "dftiny.boards": 3,
    "dftiny.models": 3,
    "dftiny.release": 3,
    "dftiny.model_card": 3,
    "dftiny.thesis": 3,
    "dftiny.crossval": 3,
    "dftiny.__main__": 4,
    "dftiny.cli": 4,
    "dftiny.commands": 4,
}

# Which rooms may import a heavy or outward-facing package at all.
MAY_IMPORT = {
    "torch": (
        "dftiny.nets",
        "dftiny.train",
        "dftiny.export",
        "dftiny.data.",
        "dftiny.evaluate",
        "dftiny.thesis.score",
        "dftiny.crossval.fold",
    ),
    "tensorflow": ("dftiny.export.tflite",),
    "onnx2tf": ("dftiny.export.tflite",),
    "onnx": ("dftiny.export",),
    "onnxruntime": ("dftiny.export",),
    "tflite_micro": ("dftiny.export",),
    "serial": ("dftiny.link.", "dftiny.doctor"),
    "click": ("dftiny.cli", "dftiny.commands"),
}

# Heavy packages that only functions may import, so that `dftiny --help` stays fast.
LAZY = (
    "torch",
    "tensorflow",
    "onnx",
    "onnxruntime",
    "serial",
    "sklearn",
    "scipy",
    "matplotlib",
    "jinja2",
    "rich",
    "jsonschema",
)
# The rooms where torch lives import it at the top; nobody above imports those rooms at the top.
TORCH_ROOMS = ("dftiny.nets", "dftiny.train", "dftiny.data.", "dftiny.export.tflite_worker")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(p): p for p in sorted(PACKAGE.rglob("*.py")) if "_tree" not in p.parts}


def level(name: str) -> int | None:
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        if (found := LEVEL.get(".".join(parts[:n]))) is not None and (n > 1 or len(parts) == 1):
            return found
    return None


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, at the top of the file?) for every import of a file, relative ones excluded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    type_only = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for b in i.body
        for n in ast.walk(b)
    }
    in_function = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef))
        for n in ast.walk(f)
    }
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if id(node) in type_only:
            continue
        top = id(node) not in in_function
        if isinstance(node, ast.Import):
            found += [(a.name, top) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(f"{node.module}.{a.name}", top) for a in node.names]
    return found


def test_every_module_has_a_level() -> None:
    assert [n for n in MODULES if level(n) is None] == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name: str) -> None:
    for target, _ in imports(MODULES[name]):
        if not target.startswith("dftiny.") or (
            target not in MODULES and target.rpartition(".")[0] == "dftiny"
        ):
            continue
        up, own = level(target), level(name)
        assert up is not None and own is not None
        assert up <= own, f"{name} (level {own}) imports {target} (level {up})"


@pytest.mark.parametrize("name", MODULES)
def test_packages_stay_in_their_rooms(name: str) -> None:
    for target, top in imports(MODULES[name]):
        package = target.split(".")[0]
        rooms = MAY_IMPORT.get(package)
        if rooms is not None:
            assert any(name.startswith(r) or name == r.rstrip(".") for r in rooms), (
                f"{name} imports {package}"
            )
        if package in LAZY and top:
            assert package == "torch" and name.startswith(TORCH_ROOMS), f"{name} imports {package} at its top"


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "module", ["dftiny.cli", "dftiny.bench", "dftiny.budget", "dftiny.target", "dftiny.flash", "dftiny.build"]
)
def test_light_commands_import_no_heavy_package(module: str) -> None:
    out = run_python(
        f"import sys, {module}; print([m for m in ('torch','tensorflow','onnx','sklearn') if m in sys.modules])"
    )
    assert out.strip() == "[]"


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(encoding="utf-8"), re.M)


def c_files(*parts: str) -> list[Path]:
    return sorted(p for p in FIRMWARE.joinpath(*parts).rglob("*") if p.suffix in (".c", ".h"))


def test_boards_never_see_engines() -> None:
    assert c_files("boards")
    for path in c_files("boards"):
        bad = [i for i in includes(path) if "engine" in i or "kernel" in i or "dft_model" in i]
        assert bad == [], f"{path} includes {bad}"


def test_engines_and_kernels_never_see_boards() -> None:
    assert c_files("engines") and c_files("kernels")
    for path in c_files("engines") + c_files("kernels"):
        bad = [i for i in includes(path) if "board" in i or "protocol" in i or "frame" in i]
        assert bad == [], f"{path} includes {bad}"


def test_only_main_calls_both() -> None:
    both = [
        p.name
        for p in c_files("src")
        if re.search(r"\bdft_the_board\b", p.read_text()) and re.search(r"\bdft_the_engine\b", p.read_text())
    ]
    assert both == ["main.c"]


def test_no_board_ifdefs() -> None:
    for path in c_files():
        assert not re.search(r"#\s*if.*\bBOARD_", path.read_text(encoding="utf-8")), path
