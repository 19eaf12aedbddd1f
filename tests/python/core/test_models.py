"""Released models: whole, listed, and their page is made from their manifests."""

from __future__ import annotations

import pytest

from dftiny import spec
from dftiny.errors import DftError
from dftiny.models import DEFAULT_MODEL, models_table, readme, released, released_model


def test_the_page_is_current() -> None:
    page = (spec.models_dir() / "README.md").read_text(encoding="utf-8")
    assert page == readme(), "run: python -m dftiny.models"


def test_the_default_model_is_released() -> None:
    assert DEFAULT_MODEL in dict(released())
    assert DEFAULT_MODEL in models_table()


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(DftError, match=DEFAULT_MODEL):
        released_model("nothing")
