"""A bundle as a C library: firmware that is not ours links it and gets the golden bits; whole or absent, repeatable."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from foreign import STRICT, arm_build, build, host_build, project, run_main

from dftiny import bundle as bundles
from dftiny import library, spec
from dftiny.artifact import read_manifest
from dftiny.errors import CheckFailed, DftError
from dftiny.plan import Wishes

HERE = Path(__file__).resolve().parent
MODEL = spec.models_dir() / "phinet_demo_128.demo" / "model.tflite"
# So little of the first region that the model needs the second as well.
AXI_BYTES = 20 << 10


@pytest.fixture(scope="module")
def two_regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with a small first region."""
    path = tmp_path_factory.mktemp("target") / "small.toml"
    text = (spec.SPEC_DIR / "targets" / "stm32h743.toml").read_text()
    assert text.count("bytes = 524288\n") == 1
    path.write_text(text.replace("bytes = 524288\n", f"bytes = {AXI_BYTES}\n"))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, two_regions: Path) -> bundles.Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    bundles.export(
        MODEL, out=folder / "b", fit=bundles.Fit(str(two_regions)), library=folder / "lib", quiet=True
    )
    made = bundles.load_bundle(folder / "b")
    assert [r.name for r in made.regions] == ["axi", "d2"]
    return made


@pytest.fixture(scope="module")
def lib(bundle: bundles.Bundle) -> Path:
    return bundle.folder.parent / "lib"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path}: {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def with_wrong_answer(lib: Path, folder: Path) -> Path:
    """A copy whose golden output is another in one bit."""
    shutil.copytree(lib, folder)
    path = folder / "example" / "golden.h"
    text = path.read_text()
    (found,) = re.finditer(r"golden_output\[1\] = \{\s*(-?\d+),", text)
    wrong = int(found[1]) ^ 1
    path.write_text(text[: found.start(1)] + str(wrong) + text[found.end(1) :])
    return folder


def test_a_foreign_firmware_gets_the_golden_bits(bundle: bundles.Bundle, lib: Path, tmp_path: Path) -> None:
    host_build(project(tmp_path / "p", lib, HERE / "tiles_main.c"), tmp_path / "build")
    inputs, outputs = bundle.golden()
    assert len(np.unique(outputs)) > 1
    done = subprocess.run(
        [tmp_path / "build" / "firmware"], input=inputs.tobytes(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert np.array_equal(np.frombuffer(done.stdout, np.int8).reshape(outputs.shape), outputs)
    (hooked,) = re.findall(r"hooked (\d+)", done.stderr.decode())
    assert int(hooked) >= len(inputs)


def test_the_example_compares(lib: Path, tmp_path: Path) -> None:
    host_build(lib / "example", tmp_path / "right")
    assert subprocess.run([tmp_path / "right" / "example"], check=False).returncode == 0
    host_build(with_wrong_answer(lib, tmp_path / "lib") / "example", tmp_path / "wrong")
    assert subprocess.run([tmp_path / "wrong" / "example"], check=False).returncode == 1


def test_an_example_that_gives_another_answer_is_no_library(
    bundle: bundles.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is compiled and run before it is a library."""
    assert read_manifest(bundle.folder.parent / "lib", "library").metrics["example"] == "passed"
    right = library.golden_h
    monkeypatch.setattr(library, "golden_h", lambda tile, answer: right(tile, answer ^ 1))
    with pytest.raises(CheckFailed, match=r"example does not give the golden tile's answer \(code 1\)"):
        library.write_library(bundle, tmp_path / "lib")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.emu
def test_the_example_compares_on_a_cortex_m7(lib: Path, tmp_path: Path) -> None:
    arm_build(lib / "example", tmp_path / "right")
    assert run_main(tmp_path / "right" / "example") == 0
    arm_build(with_wrong_answer(lib, tmp_path / "lib") / "example", tmp_path / "wrong")
    assert run_main(tmp_path / "wrong" / "example") == 1


def test_it_asks_nothing_of_libc_but_memory_copies(lib: Path, tmp_path: Path) -> None:
    arm_build(lib / "example", tmp_path / "build")
    defined, outside = names_in([tmp_path / "build" / "dftiny_model" / "libdftiny_model.a"])
    assert "dft_model_run" in defined
    assert outside <= {"memcpy", "memset"}


def test_no_portable_kernel_asks_for_more(tmp_path: Path) -> None:
    """Of all that a library may hold, not only of what this one does."""
    firmware = spec.firmware_dir()
    folders = [firmware / p for p in ("include", "kernels", "engines/aot")]
    files = [str(p) for p in (*sorted(folders[1].glob("*.c")), folders[2] / "dft_run.c")]
    flags = ["-std=c11", "-O2", "-mcpu=cortex-m7", "-mthumb", *(f"-I{p}" for p in folders)]
    subprocess.run(["arm-none-eabi-gcc", *flags, "-c", *files], cwd=tmp_path, check=True)
    defined, outside = names_in(sorted(tmp_path.glob("*.o")))
    assert {"dft_run_segment", "dft_concat_rows"} <= defined
    assert {n for n in outside if not n.startswith("dft_")} == {"memcpy", "memset", "memmove"}


def names_in(files: list[Path]) -> tuple[set[str], set[str]]:
    """Symbols that object files define, and those that they want from elsewhere, but for the compiler's own."""
    words = ["arm-none-eabi-nm", *map(str, files)]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in text.splitlines() if len(line.split()) >= 2]
    defined = {name for kind, name in symbols if kind != "U"}
    wanted = {name for kind, name in symbols if kind == "U"} - defined
    return defined, {name for name in wanted if not name.startswith("__aeabi_")}


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_a_cpp_program_includes_the_header(standard: str, lib: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include "dft_model.h"\n'
        "alignas(DFT_MODEL_AXI_ALIGN) static unsigned char axi[DFT_MODEL_AXI_BYTES];\n"
        "alignas(DFT_MODEL_D2_ALIGN) static unsigned char d2[DFT_MODEL_D2_BYTES];\n"
        "int main()\n{\n"
        "    int8_t *input = dft_model_open(axi, sizeof axi, d2, sizeof d2);\n"
        "    return input != nullptr && dft_model_run() != nullptr ? 0 : 1;\n}\n"
    )
    folder = project(tmp_path / "p", lib, main, "CXX")
    change(
        folder / "CMakeLists.txt",
        "add_sub",
        f'set(CMAKE_CXX_FLAGS "${{CMAKE_CXX_FLAGS}} -std={standard} -pedantic")\nadd_sub',
    )
    host_build(folder, tmp_path / "build")
    assert subprocess.run([tmp_path / "build" / "firmware"], check=False).returncode == 0


def test_the_header_stands_alone(lib: Path, tmp_path: Path) -> None:
    (tmp_path / "only.c").write_text('#include "dft_model.h"\nint only = DFT_MODEL_OPS;\n')
    command = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        f"-I{lib / 'include'}",
        "-fsyntax-only",
    ]
    done = subprocess.run([*command, tmp_path / "only.c"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    included = re.findall(r"#\s*include\s+(\S+)", (lib / "include" / "dft_model.h").read_text())
    assert included == ["<stddef.h>", "<stdint.h>"]


def test_scales_are_exact(bundle: bundles.Bundle, lib: Path) -> None:
    text = (lib / "include" / "dft_model.h").read_text()
    for edge, scale in (("INPUT", bundle.graph().input.scale), ("OUTPUT", bundle.output_scale)):
        (numerator,) = re.findall(rf"DFT_MODEL_{edge}_SCALE_NUMERATOR (\d+)$", text, re.MULTILINE)
        (shift, written) = re.findall(rf"DFT_MODEL_{edge}_SCALE_SHIFT (\d+) /\* scale (\S+) \*/", text)[0]
        assert int(numerator) / 2 ** int(shift) == scale == float.fromhex(written)


def test_only_needed_kernels_travel(lib: Path) -> None:
    kernels = {p.name for p in (lib / "src" / "kernels").glob("*.c")}
    assert kernels, "none at all"
    assert "softmax_s8.c" not in kernels
    listed = set(re.findall(r"^\s+(src/\S+\.[cS])$", (lib / "CMakeLists.txt").read_text(), re.MULTILINE))
    assert listed == {
        p.relative_to(lib).as_posix() for p in (lib / "src").rglob("*") if p.suffix in (".c", ".S")
    }


def test_two_libraries_are_equal_to_the_byte_and_hold_no_path(
    bundle: bundles.Bundle, lib: Path, tmp_path: Path
) -> None:
    library.write_library(bundle, tmp_path / "again")
    files = sorted(p.relative_to(lib) for p in lib.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    for name in files:
        data = (lib / name).read_bytes()
        assert data == (tmp_path / "again" / name).read_bytes(), name
        assert str(lib.parent).encode() not in data and str(spec.tree_dir()).encode() not in data, name


def test_the_manifest_names_bundle_and_files(bundle: bundles.Bundle, lib: Path) -> None:
    manifest = read_manifest(lib, "library")
    assert manifest.parents == {"bundle": bundle.manifest.digest}
    assert manifest.config == {"name": bundle.name, "bundle_digest": bundle.digest.hex()}
    found = {p.relative_to(lib).as_posix() for p in lib.rglob("*") if p.is_file()}
    assert set(manifest.files) == found - {"manifest.json"}
    assert {"LICENSE", "README.md", "include/dft_model.h", "example/main.c"} <= found


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("src/dft/version.h", "DFT_CODEGEN_VERSION ", "DFT_CODEGEN_VERSION 9", "another version"),
        ("include/dft_model.h", "DFT_MODEL_DIGEST 0x", "DFT_MODEL_DIGEST 0x1", "another export"),
        ("src/kernels/dft_kernels.h", "DFT_KERNELS_VERSION ", "DFT_KERNELS_VERSION 9", "other kernels"),
    ],
)
def test_files_that_do_not_belong_together_do_not_compile(
    name: str, old: str, new: str, words: str, lib: Path, tmp_path: Path
) -> None:
    shutil.copytree(lib, tmp_path / "lib")
    change(tmp_path / "lib" / name, f"#define {old}", f"#define {new}")
    done = build(tmp_path / "lib" / "example", tmp_path / "build")
    assert done.returncode != 0
    assert words in done.stdout


def dftiny(cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dftiny.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=dict(os.environ))


def test_the_command_writes_bundle_and_library(tmp_path: Path) -> None:
    done = dftiny(tmp_path, "export", str(MODEL), "--out", "b", "--library", "mine/lib")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "mine"]
    assert read_manifest(tmp_path / "mine" / "lib", "library").parents == {
        "bundle": read_manifest(tmp_path / "b").digest
    }


def test_the_readmes_program_compiles(tmp_path: Path) -> None:
    readme = (spec.tree_dir() / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```c\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "readme.c").write_text(program)
    bundles.export(MODEL, out=tmp_path / "b", library=tmp_path / "lib", quiet=True)
    command = ["gcc", "-std=c11", *STRICT.split(), "-Wno-missing-prototypes", "-fsyntax-only"]
    done = subprocess.run(
        [*command, f"-I{tmp_path / 'lib' / 'include'}", tmp_path / "readme.c"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_strangers_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "main.c").write_text("int main;\n")
    done = dftiny(tmp_path, "export", str(MODEL), "--out", "b", "--library", "theirs")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert (
        "was not made by dftiny" in done.stderr and "--library" in done.stderr and "--out" not in done.stderr
    )
    assert [p.name for p in tmp_path.iterdir()] == ["theirs"]
    assert [p.name for p in (tmp_path / "theirs").iterdir()] == ["main.c"]


@pytest.mark.parametrize("inside", ["b", "b/lib", "."])
def test_library_and_bundle_do_not_lie_in_each_other(inside: str, tmp_path: Path) -> None:
    done = dftiny(tmp_path, "export", str(MODEL), "--out", "b", "--library", inside)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_stage_of_another_kind_is_kept(bundle: bundles.Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other"
    bundles.export(MODEL, out=other, quiet=True)
    with pytest.raises(DftError, match="holds a bundle stage"):
        library.write_library(bundle, other)
    assert read_manifest(other, "bundle")


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_or_ctrl_c_leaves_nothing_half(
    stop: BaseException, before: bool, bundle: bundles.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lib"
    if before:
        library.write_library(bundle, out)
    calls = []

    def copyfile(_from: Path, to: Path) -> None:
        calls.append(to)
        if len(calls) == 3:
            raise stop
        to.write_bytes(b"")

    monkeypatch.setattr(library.shutil, "copyfile", copyfile)
    with pytest.raises((DftError, KeyboardInterrupt)):
        library.write_library(bundle, out)
    assert len(calls) == 3
    assert [p.name for p in tmp_path.iterdir()] == (["lib"] if before else [])
    if before:
        assert read_manifest(out, "library").parents == {"bundle": bundle.manifest.digest}


@pytest.mark.emu
def test_an_input_by_rows_is_asked_for_in_order(tmp_path: Path) -> None:
    bundles.export(
        MODEL,
        out=tmp_path / "b",
        library=tmp_path / "lib",
        fit=bundles.Fit(wishes=Wishes(input_by_rows=True)),
        quiet=True,
    )
    assert "dft_model_reader reader" in (tmp_path / "lib" / "include" / "dft_model.h").read_text()
    check = "if (row != next++ || bytes != DFT_MODEL_INPUT_ROW_BYTES) {\n        __builtin_trap();\n    }"
    main = tmp_path / "lib" / "example" / "main.c"
    change(main, "(void)context;", f"(void)context;\n    static uint32_t next;\n    {check}")
    host_build(tmp_path / "lib" / "example", tmp_path / "host")
    assert subprocess.run([tmp_path / "host" / "example"], check=False).returncode == 0
    arm_build(tmp_path / "lib" / "example", tmp_path / "arm")
    assert run_main(tmp_path / "arm" / "example") == 0


@pytest.mark.emu
def test_kernels_of_m7_take_the_place_of_portable_ones(lib: Path, tmp_path: Path) -> None:
    """conv_rows.c has a twin there that leans on assembly in other files."""
    m7 = {p.name for p in (lib / "src" / "kernels" / "m7").iterdir()}
    assert {"conv_rows.c", "conv_body.S"} <= m7
    host_build(lib / "example", tmp_path / "host")
    assert subprocess.run([tmp_path / "host" / "example"], check=False).returncode == 0
    arm_build(lib / "example", tmp_path / "arm")
    assert run_main(tmp_path / "arm" / "example") == 0
    made = objects(tmp_path / "arm")
    assert made >= {"m7/conv_rows.c", "m7/conv_body.S"} and "conv_rows.c" not in made
    arm_build(lib / "example", tmp_path / "plain", "-DDFT_MODEL_M7=OFF")
    assert run_main(tmp_path / "plain" / "example") == 0
    made = objects(tmp_path / "plain")
    assert "conv_rows.c" in made and not [name for name in made if name.startswith("m7/")]


def objects(folder: Path) -> set[str]:
    """Kernels that a build compiled into the library, by their sources below src/kernels."""
    found = (p.as_posix().partition("/src/kernels/")[2] for p in folder.rglob("*.obj"))
    return {name.removesuffix(".obj") for name in found if name}
