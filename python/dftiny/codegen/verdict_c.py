"""dft_verdict_data.c: the model's verdict as C tables, or an inert one. Called by codegen/firmware.py."""

from __future__ import annotations

from dataclasses import fields

from dftiny.codegen.c_text import int_array
from dftiny.codegen.guard import banner
from dftiny.verdict.model import VerdictModel


def verdict_c(verdict: VerdictModel | None) -> str:
    """Text of dft_verdict_data.c, which defines `dft_the_verdict`. None: the model never decides."""
    head = [banner("evidence and bounds of the running verdict"), '#include "dft/verdict.h"\n']
    if verdict is None:
        return "\n".join([*head, "const dft_verdict_model dft_the_verdict = {.tiles_max = 0u};", ""])
    names = [f.name for f in fields(verdict)]
    tables = [
        int_array("int16_t" if name == "evidence" else "int32_t", name, getattr(verdict, name))
        for name in names
    ]
    members = [f"    .{name} = {name}," for name in names]
    return "\n".join(
        [
            *head,
            *tables,
            "const dft_verdict_model dft_the_verdict = {",
            f"    .tiles_max = {verdict.tiles_max}u,",
            *members,
            "};",
            "",
        ]
    )
