"""What stands on the budget's page, as plain values for spec/templates/budget.html.j2. Called by budget_files.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dftiny.budget import Budget
from dftiny.report.memory_chart import memory_svg

KB = 1024


def budget_page(b: Budget, ladder: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The template's values. `ladder`: the compare stage's result, float → ONNX → int8 → device, or None."""
    unit = "instructions" if any(o.instructions for o in b.ops) else "macs"
    total = sum(getattr(o, unit) or 0 for o in b.ops) or 1
    return {
        "title": f"{b.model} on {b.target}, engine {b.engine}",
        "b": b,
        "badges": _badges(b),
        "cards": _cards(b),
        "memory": memory_svg(b),
        "unit": "instructions, estimated" if unit == "instructions" else "MACs",
        "ops": [
            {
                "index": o.index,
                "kind": o.kind,
                "name": o.name,
                "macs": o.macs,
                "instructions": o.instructions,
                "const_bytes": o.const_bytes,
                "live_bytes": o.live_bytes,
                "share": (getattr(o, unit) or 0) / total,
            }
            for o in b.ops
        ],
        "regions": [
            {
                "name": r.name,
                "used": r.used,
                "reserved": r.reserved,
                "application": r.application,
                "free": r.free,
                "total": r.total,
                "over": r.over,
                "share": min(r.taken / r.total, 1.0),
            }
            for r in b.regions
        ],
        "applied": any(r.application for r in b.regions),
        "ladder": ladder,
    }


def _badges(b: Budget) -> list[tuple[str, str]]:
    """(css class, text)."""
    badges = [("good", f"fits {b.target}")] if b.fits else [("bad", f"does not fit: {r}") for r in b.reasons]
    badges += [("note", n) for n in b.notes]
    if b.cycles_estimated is not None:
        badges.append(("warn", "cycles and milliseconds: model, never checked on silicon"))
    return badges


def _cards(b: Budget) -> list[tuple[str, str, str]]:
    """(label, value, small print)."""
    flash = "–" if b.flash_bytes is None else f"{b.flash_bytes / KB:,.1f} KB"
    cards = [
        ("flash", flash, f"of {b.flash_total_bytes // KB:,} KB, code {b.code_from}"),
        ("RAM", f"{b.ram_used_bytes / KB:,.1f} KB", f"of {b.ram_total_bytes // KB:,} KB, stack included"),
        ("arena", f"{b.arena_bytes / KB:,.1f} KB", f"activations {b.ram_bytes:,} bytes"),
        ("MACs", f"{b.macs / 1e6:,.2f} M", f"limit {b.max_macs / 1e6:,.0f} M an inference"),
    ]
    if b.instructions_estimated is not None:
        per = f"{b.instructions_estimated / b.macs:.2f} a MAC, " if b.macs else ""
        cards.append(("instructions", f"{b.instructions_estimated / 1e6:,.2f} M", f"{per}estimated"))
    if b.ms_estimated is not None:
        cards.append(("time", f"{b.ms_estimated:,.1f} ms", "model, never checked on silicon"))
    return cards
