"""ROC and tile maps as inline SVG. Colours are CSS classes of the template, so that light and dark both work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ROC_PX = 320
MARGIN_PX = 36
MAP_PX = 384


def roc_svg(curves: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """One line a group (at most three) over the diagonal; `curves` are (css class, {"fpr", "tpr"})."""
    size = ROC_PX - 2 * MARGIN_PX

    def x(v: float) -> float:
        return MARGIN_PX + v * size

    def y(v: float) -> float:
        return ROC_PX - MARGIN_PX - v * size

    parts = [f'<svg viewBox="0 0 {ROC_PX} {ROC_PX}" class="roc" role="img" aria-label="ROC curve">']
    for k in range(6):
        v = k / 5
        parts.append(f'<line class="grid" x1="{x(v):.1f}" y1="{y(0):.1f}" x2="{x(v):.1f}" y2="{y(1):.1f}"/>')
        parts.append(f'<line class="grid" x1="{x(0):.1f}" y1="{y(v):.1f}" x2="{x(1):.1f}" y2="{y(v):.1f}"/>')
        parts.append(f'<text x="{x(v):.1f}" y="{y(0) + 14:.1f}" text-anchor="middle">{v:.1f}</text>')
        parts.append(f'<text x="{x(0) - 6:.1f}" y="{y(v) + 3:.1f}" text-anchor="end">{v:.1f}</text>')
    parts.append(f'<line class="chance" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    for css, curve in curves:
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(curve["fpr"], curve["tpr"], strict=True))
        parts.append(f'<polyline class="{css}" points="{points}"/>')
    middle = ROC_PX / 2
    parts.append(f'<text x="{middle}" y="{ROC_PX - 6}" text-anchor="middle">fakes taken for real</text>')
    turn = f'transform="rotate(-90 10 {middle})"'
    parts.append(f'<text x="10" y="{middle}" text-anchor="middle" {turn}>reals found</text></svg>')
    return "".join(parts)


def map_svg(logits: Sequence[float], rows: int, columns: int, threshold: float, span: float) -> str:
    """Tiles coloured from fake to real around the threshold; `span` is the distance of full colour (logits)."""
    cell = MAP_PX / max(rows, columns)
    width, height = columns * cell, rows * cell
    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="map" role="img" aria-label="tile logits">']
    for i, logit in enumerate(logits):
        r, c = divmod(i, columns)
        strength = min(1.0, abs(logit - threshold) / span) if span > 0 else 0.0
        css = "real" if logit > threshold else "fake"
        box = f'x="{c * cell + 1:.1f}" y="{r * cell + 1:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}" rx="3"'
        parts.append(f'<rect class="cell" {box}/>')
        parts.append(f'<rect class="{css}" {box} fill-opacity="{0.12 + 0.88 * strength:.2f}"/>')
        ink = "ink strong" if strength > 0.55 else "ink"
        at = f'x="{(c + 0.5) * cell:.1f}" y="{(r + 0.5) * cell + 5:.1f}"'
        parts.append(f'<text class="{ink}" {at} text-anchor="middle">{logit:+.2f}</text>')
    return "".join(parts) + "</svg>"
