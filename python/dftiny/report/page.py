"""What stands on the report's page, as plain values for the template. A field that bench.json lacks is left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dftiny.artifact import Manifest
from dftiny.report.charts import map_svg, roc_svg

GROUP_TITLES = {
    "all": "all generators",
    "seen": "generators seen in training",
    "held-out": "held-out generators",
    "blur": "control: blurred reals as real",
    "denoise": "control: denoised reals as real",
    "resized": "control: resized copies",
    "offgrid": "control: crops off the 8-px grid",
}
CURVES = (("all", "curve-1"), ("seen", "curve-2"), ("held-out", "curve-3"))


def page(
    summary: Mapping[str, Any], manifest: Manifest, folder: Path, compare: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The template's values."""
    unit = next((u for u in ("instructions", "cycles") if u in summary), "")
    groups = _first_groups(summary["metrics"])
    return {
        "title": f"{summary['bundle']['name']} on {summary['board'].get('title', summary['board']['channel'])}",
        "s": summary,
        "badges": _badges(summary),
        "cards": _cards(summary, groups, unit),
        "groups": _group_rows(summary["metrics"]),
        "roc": _roc(groups),
        "confusion": groups.get("all", {}).get("confusion"),
        "classes": summary["metrics"].get("classes"),
        "maps": _maps(summary, folder),
        "compare": _compare(compare),
        "unit": unit,
        "ops": _ops(summary, unit),
        "budget": _regions(summary),
        "manifest": manifest,
    }


def _badges(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(css class, text): what a reader must know before any number."""
    board = summary["board"]
    badges = []
    if not summary["complete"]:
        badges.append(("bad", f"partial: {summary.get('stopped', 'stopped')}"))
    if summary["data"].get("simulated"):
        badges.append(("warn", "simulated fakes, hardly a face among the photographs"))
    if not board.get("silicon"):
        badges.append(("note", "emulator: function and instruction counts, no time" if "instructions" in board.get("claims", [])
                       else "a process of this computer: function only, no time"))  # fmt: skip
    same = summary["oracle"]["identical"] == summary["oracle"]["tiles"]
    badges.append(
        (
            "good" if same else "bad",
            "every tile equal to the oracle" if same else "bits differ from the oracle",
        )
    )
    return badges


def _of(part: int, whole: int) -> str:
    return f"all {whole:,}" if part == whole else f"{part:,} of {whole:,}"


def _first_groups(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Groups of the first sharing profile of a real-versus-fake run, {} for anything else."""
    return {} if "classes" in metrics else next(iter(metrics.values()), {})


def _cards(summary: Mapping[str, Any], groups: Mapping[str, Any], unit: str) -> list[tuple[str, str, str]]:
    """(label, value, small print) of the head line."""
    cards = []
    found = groups.get("all", {})
    if "auc" in found:
        interval = found.get("auc_interval")
        small = (
            f"95 % interval {interval[0]:.3f} – {interval[1]:.3f}, by photograph"
            if interval
            else "image level"
        )
        cards.append(("AUC", f"{found['auc']:.3f}", small))
    if found:
        small = f"balanced {found['balanced_accuracy']:.3f}, " if "balanced_accuracy" in found else ""
        cards.append(
            ("accuracy", f"{found['accuracy']:.3f}", f"{small}{found['n']} images, controls left out")
        )
    if "f1" in found:
        cards.append(("F1", f"{found['f1']:.3f}", "positive class: real"))
    oracle = summary["oracle"]
    cards.append(
        ("equal to the oracle", _of(oracle["identical"], oracle["tiles"]), "tiles, every output bit")
    )
    if unit:
        value = summary[unit]["per_tile"]["mean"]
        per_mac = f"{summary[unit]['per_mac']:.2f} per MAC, " if "per_mac" in summary[unit] else ""
        kind = "counted, not time" if unit == "instructions" else "measured"
        cards.append((f"{unit} a tile", f"{value / 1e6:.2f} M", per_mac + kind))
    if "ram_used_bytes" in summary["budget"]:
        b = summary["budget"]
        cards.append(
            (
                "flash",
                f"{b['flash_bytes'] / 1024:.1f} KB",
                f"of {b['flash_total_bytes'] // 1024} KB, {b['target']}",
            )
        )
        cards.append(
            (
                "RAM",
                f"{b['ram_used_bytes'] / 1024:.1f} KB",
                f"of {b['ram_total_bytes'] // 1024} KB, stack included",
            )
        )
    return cards


def _group_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "classes" in metrics:
        return []
    return [
        {"sharing": sharing, "group": GROUP_TITLES.get(name, f"generator: {name}"), **found}
        for sharing, groups in metrics.items()
        for name, found in sorted(groups.items(), key=lambda item: _place(item[0]))
    ]


def _place(group: str) -> tuple[int, str]:
    """Totals first, then generators, then controls."""
    order = list(GROUP_TITLES)
    at = order.index(group) if group in order else 2.5
    return (int(2 * at), group)


def _roc(groups: Mapping[str, Any]) -> dict[str, Any] | None:
    curves = [(css, name, groups[name]) for name, css in CURVES if "roc" in groups.get(name, {})]
    if not curves:
        return None
    legend = [(css, f"{GROUP_TITLES[name]}, AUC {found['auc']:.3f}") for css, name, found in curves]
    return {"svg": roc_svg([(css, found["roc"]) for css, _, found in curves]), "legend": legend}


def _maps(summary: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    maps = summary["maps"]
    threshold = float(summary["bundle"].get("threshold") or 0.0)
    span = max((abs(v - threshold) for m in maps for v in m["logits"]), default=1.0)
    return [
        {
            **m,
            "photo": "data:image/jpeg;base64,"
            + base64.b64encode((folder / m["file"]).read_bytes()).decode("ascii"),
            "svg": map_svg(m["logits"], m["rows"], m["columns"], threshold, span),
        }
        for m in maps
    ]


def _ops(summary: Mapping[str, Any], unit: str) -> list[dict[str, Any]]:
    """Rows of the operator table; `share` 0..1 of the counted work, or of the MACs where nothing was counted."""
    key = unit if unit and any(unit in op for op in summary["ops"]) else "macs"
    total = sum(op.get(key, 0) for op in summary["ops"]) or 1
    return [
        {
            **op,
            "count": op.get(unit) if unit else None,
            "per_mac": op[unit] / op["macs"] if unit in op and op.get("macs") else None,
            "share": op.get(key, 0) / total,
        }
        for op in summary["ops"]
    ]


def _regions(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Budget and, where there is a build, the linker's bytes per memory region; empty regions are left out."""
    linked = summary["size"].get("regions", {})
    rows: list[dict[str, Any]] = []
    for region in summary["budget"].get("regions", []):
        used = region["used"] + region["reserved"]
        real = linked.get(region["name"], {})
        if used or real:
            rows.append({**region, "share": used / region["total"], "linked": real.get("bytes")})
    return rows


def _compare(compare: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if compare is None:
        return None
    columns: Sequence[Mapping[str, Any]] = compare["columns"]
    rows = [
        ("image AUC", [_figure(c.get("auc")) for c in columns]),
        ("balanced accuracy", [_figure(c.get("balanced_accuracy")) for c in columns]),
        ("accuracy", [_figure(c.get("accuracy")) for c in columns]),
        ("F1", [_figure(c.get("f1")) for c in columns]),
        (
            f"tiles identical to {compare['reference']}",
            [f"{c['identical']:,} of {compare['tiles']:,}" if "identical" in c else "–" for c in columns],
        ),
    ]
    return {
        "names": [c["name"] for c in columns],
        "rows": rows,
        "images": compare["images"],
        "tiles": compare["tiles"],
    }


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
