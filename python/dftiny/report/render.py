"""A template of spec/templates with its values. Called by whatever writes a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dftiny import spec


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page's text; a value that the template wants and nobody gave is an error, not a gap."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(spec.SPEC_DIR / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
