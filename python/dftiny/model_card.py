"""The card of a released model: what it is, what it is not, what was measured, and whose photographs its tiles are of.

Pure text; called by release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dftiny.data.calibration import CALIBRATION_TILES
from dftiny.data.photos import Photo
from dftiny.data.sharing import PRE

if TYPE_CHECKING:
    from dftiny.train.recipe import Recipe

VERDICTS = "## When it says real or fake"
CROSSVAL = "## Measured, int8 and float, cross-validated"
SHARED = """It finds simulated up-sampling traces in photographs that hardly ever show a face. It knows no real generator, was
never shown TrueFace, and must not be used to judge whether a picture found somewhere is genuine. It was trained on
lossless tiles and on tiles that went through imitations of three platforms ("-like"), not through the platforms
themselves. Processed reals are sometimes called fake, and resized or shifted copies weaken it, since their traces leave
the 8-px grid: the tables say how much."""
LOSSLESS = """It finds simulated up-sampling traces in photographs that hardly ever show a face. It knows no real generator, was
never shown TrueFace, and must not be used to judge whether a picture found somewhere is genuine. After JPEG it is
much weaker (below): it was trained on lossless images only. A strong denoiser makes it call a real photograph fake,
and resized or shifted copies weaken it, since their traces leave the 8-px grid."""


def card(
    name: str,
    recipe: Recipe,
    trained: Mapping[str, Any],
    judged: Mapping[str, Any],
    photos: Sequence[Photo],
) -> str:
    """The text of card.md from the manifests' metrics and the evaluation's metrics.json."""
    parts = [
        _opening(name, recipe, trained, judged),
        "## What it is not\n" + (LOSSLESS if recipe.sharing == PRE else SHARED),
        _measured(judged),
        _training(recipe),
        _credits(photos),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(name: str, recipe: Recipe, trained: Mapping[str, Any], judged: Mapping[str, Any]) -> str:
    by_sharing = ", ".join(f"{k} {v:+.3f}" for k, v in judged.get("thresholds", {}).items())
    more = f" Thresholds by sharing profile: {by_sharing}." if by_sharing else ""
    return f"""# {name}

{recipe.net} for {recipe.tile} px tiles, trained on dftiny's demo data: {trained["parameters"]:,} parameters, {trained["macs"]:,} MACs a tile
(float net). Output: one logit, positive = real; an image's logit is the mean over its tiles; threshold
{judged["threshold"]:+.4f}, calibrated on the validation split (validation AUC {trained["val_auc"]:.3f}).{more}"""


def _measured(judged: Mapping[str, Any]) -> str:
    return f"""## Measured, float net, test split
512 px images of 16 tiles, intervals by bootstrap over source photographs (10 of them: read them, not the third digit).
"all" is every fake against the plain reals; pixshuf and bilinear were held out of training. "blur" and "denoise" put
processed reals in the place of plain ones; "resized" and "offgrid" are copies of reals and fakes.

{_table(judged["metrics"])}"""


def _table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    lines = [
        "| sharing | images | AUC | 95 % interval | accuracy | balanced | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for sharing, groups in metrics.items():
        for group, m in groups.items():
            low, high = m.get("auc_interval", (None, None))
            interval = f"{low:.3f} to {high:.3f}" if low is not None else ""
            words = (f"{m[k]:.3f}" if k in m else "" for k in ("accuracy", "balanced_accuracy", "f1"))
            auc = f"{m['auc']:.3f}" if "auc" in m else ""
            lines.append(f"| {sharing}, {group} | {m['n']} | {auc} | {interval} | {' | '.join(words)} |")
    return "\n".join(lines)


def with_crossval(text: str, tables: str) -> str:
    """The card with the tables of a cross-validation, in place of earlier ones."""
    body = tables.removeprefix("# Cross-validation").strip()
    opening = "The same recipe trained anew in every fold, so that every photograph is tested once (`dftiny crossval`).\n"
    return with_section(text, CROSSVAL, opening + body)


def with_verdicts(text: str, figures: str) -> str:
    """The card with its section on verdicts, in place of an earlier one."""
    opening = (
        "On the validation photographs, parts called real, fake and undecided, tiles shown, and how often the\n"
        "end was that of all tiles. `dftiny detect` confirms no compressed picture as real, whatever its tiles say.\n"
        "Fitted by `dftiny verdict`.\n\n"
    )
    return with_section(text, VERDICTS, f"{opening}```\n{figures}\n```")


def with_section(text: str, heading: str, section: str) -> str:
    """The card with `section` under `heading`, in place of an earlier section of that name."""
    before, found, after = text.partition(heading + "\n")
    rest = after[after.find("\n## ") + 1 :] if found and "\n## " in after else ""
    return f"{before.rstrip()}\n\n{heading}\n{section}\n" + (f"\n{rest}" if rest else "")


def _training(recipe: Recipe) -> str:
    mixed = (
        " Every pair of tiles is lossless or went through one of the profiles."
        if recipe.sharing != PRE
        else ""
    )
    moved = (
        f" {recipe.moved:.0%} of the pairs were resized or cut off the 8-px grid before that."
        if recipe.moved
        else ""
    )
    return f"""## Training
`dftiny train --recipe {recipe.name}`: random periodic filters and processed reals beside the three training generators.{mixed}{moved}"""


def _credits(photos: Sequence[Photo]) -> str:
    lines = "\n".join(
        f"- {p.path.name} by {p.author}, {p.licence} (Debian package {p.package})" for p in photos
    )
    return f"""## Tiles in this folder
calibration.npz ({CALIBRATION_TILES} tiles of the training split) and golden.npz (of the test split) hold shrunk and cropped parts of
the photographs below, some of them changed by a simulated generator or compressed. CC-BY-4.0:
https://creativecommons.org/licenses/by/4.0/, CC0-1.0: https://creativecommons.org/publicdomain/zero/1.0/.

{lines}"""
