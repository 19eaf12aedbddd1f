"""Which files a piece of C needs: on small trees written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from dftiny.codegen.needed_files import needed_files, twins

TREE = {
    "include/dft/engine.h": '#include "dft/status.h"\nextern int dft_the_engine;\n',
    "include/dft/status.h": "/* dft_far is only spoken of */\n",
    "kernels/near.h": '#include "dft_kernels.h"\nstatic inline int dft_in(void)\n{\n    return dft_slow();\n}\n',
    "kernels/dft_kernels.h": "int dft_near(void);\nint dft_far(void);\nint dft_slow(void);\n",
    "kernels/near.c": '#include "near.h"\nint dft_near(void)\n{\n    return dft_in();\n}\n',
    "kernels/far.c": "int dft_far(void)\n{\n    return 1;\n}\n",
    "kernels/slow.c": "static int helper(void)\n{\n    return 1;\n}\n\nint\ndft_slow(void)\n{\n    return helper();\n}\n",
    "kernels/table.c": "const int dft_table[2] = {1, 2};\n",
    "kernels/m7/near.S": ".global dft_near\ndft_near:\n    bl dft_k3\n",
    "kernels/m7/near_k.S": "k_body 3\n.macro k_body k\n.global dft_k\\k\ndft_k\\k:\n.endm\n",
    "kernels/m7/far.S": ".global dft_far\ndft_far:\n    bl dft_slow\n",
    "kernels/m7/other.S": ".global dft_other\ndft_other:\n    bl dft_near\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_functions_and_headers_are_followed_with_their_twins(tree: Path) -> None:
    assert needed_files(["void f(void) { dft_near(); }"], tree) == (
        "kernels/dft_kernels.h",
        "kernels/m7/near.S",
        "kernels/m7/near_k.S",
        "kernels/near.c",
        "kernels/near.h",
        "kernels/slow.c",
    )


def test_what_is_only_declared_or_spoken_of_is_left_out(tree: Path) -> None:
    found = needed_files(['#include "dft/engine.h"\n/* dft_near */ int x; // dft_far'], tree)
    assert found == ("include/dft/engine.h", "include/dft/status.h")


def test_a_caller_is_no_definition(tree: Path) -> None:
    assert "kernels/m7/far.S" not in needed_files(["int f(void) { return dft_slow(); }"], tree)


def test_tables_count_as_functions_do(tree: Path) -> None:
    assert needed_files(["int f(void) { return dft_table[0]; }"], tree) == ("kernels/table.c",)


def test_names_that_a_macro_completes_take_all_that_begin_so(tree: Path) -> None:
    text = "#define CALL(x) dft_##x()\n"
    assert {"kernels/near.c", "kernels/far.c", "kernels/table.c"} <= set(needed_files([text], tree))


def test_twins_have_the_same_stem() -> None:
    paths = ("kernels/m7/a.S", "kernels/m7/ab.c", "kernels/m7/b.c")
    assert twins("kernels/a.c", paths) == ("kernels/m7/a.S",)
    assert twins("kernels/a.h", paths) == ()
    assert twins("kernels/m7/b.c", paths) == ()
    assert twins("engines/aot/b.c", paths) == ()
