"""Which data are asked for: the demo set, TrueFace's tree, or two folders. What `dftiny data` calls."""

from __future__ import annotations

from pathlib import Path

from dftiny.errors import DftError


def build_data(
    out: Path,
    *,
    photos: Path | None,
    strength: str,
    folds: int | None,
    trueface: Path | None,
    real: Path | None,
    fake: Path | None,
    held_out: tuple[str, ...],
    jobs: int,
) -> None:
    """Build the data folder `out`. DftError when the options ask for two kinds of data at once."""
    if trueface is None and real is None and fake is None:
        from dftiny.data.demo import build_demo

        if held_out:
            raise DftError(
                "--held-out is for your own data", "the demo set holds pixshuf and bilinear out itself"
            )
        build_demo(out, photos=photos, strength=strength, jobs=jobs, folds=folds or 0)
        return
    _refuse_mixed(trueface, real, fake, demo=photos is not None or folds is not None)
    from dftiny.data.own import build_own
    from dftiny.data.trees import trueface as trueface_tree
    from dftiny.data.trees import two_folders

    if trueface is not None:
        tree = trueface_tree(trueface)
    else:
        assert real is not None
        assert fake is not None
        tree = two_folders(real, fake)
    build_own(out, tree, held_out=held_out, jobs=jobs)


def _refuse_mixed(trueface: Path | None, real: Path | None, fake: Path | None, *, demo: bool) -> None:
    if demo or (trueface is not None and (real is not None or fake is not None)):
        raise DftError(
            "two kinds of data are asked for at once",
            "give --trueface alone, --real with --fake, or none of them for the demo data (--photos, --folds)",
        )
    if trueface is None and (real is None or fake is None):
        raise DftError("--real and --fake go together", "give both folders")
