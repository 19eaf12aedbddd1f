"""What only firmware with a self-test links: a bundle's folder `selftest`. Called by bundle.py."""

from __future__ import annotations

from dftiny.codegen.guard import banner
from dftiny.codegen.proofs_c import operators_c
from dftiny.codegen.vectors_c import symbol_of, table_c, vector_c
from dftiny.plan import Plan
from dftiny.vectors import vectors_of


def selftest_c(plan: Plan) -> dict[str, str]:
    """Name → text: dft_proofs.c, which defines `dft_the_proofs`, and a file for each made-up layer."""
    vectors = vectors_of(plan)
    texts = {f"dft_vector_{symbol_of(v)}.c": vector_c(v) for v in vectors}
    return {"dft_proofs.c": proofs_file_c(operators_c(plan), table_c(vectors)), **texts}


def proofs_file_c(operators: str, table: str) -> str:
    """Text of dft_proofs.c."""
    return f"""{banner("what the self-test holds a model and its kernels to")}
#include "dft/proofs.h"

{operators}
{table}
const dft_proofs dft_the_proofs = {{
    .ops = ops,
    .ops_n = sizeof ops / sizeof ops[0],
    .vectors = vectors,
    .vectors_n = sizeof vectors / sizeof vectors[0] - 1u,
}};
"""
