"""The data dftiny ships: protocol, operators, targets, boards, schemas, recipes, and where the trees lie.

Facts live in the .toml files beside this module; this module only finds and reads them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dftiny.artifact import canonical_json, read_json
from dftiny.errors import DftError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SPEC_DIR = Path(__file__).resolve().parent
_PACKAGE_DIR = SPEC_DIR.parent


def read_toml(path: Path, what: str = "file") -> dict[str, Any]:
    """Read a TOML file; DftError names it when it is missing or malformed."""
    try:
        value: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return value
    except OSError as e:
        raise DftError(f"cannot read {what} {path}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise DftError(f"{path} is not a valid TOML {what}: {e}") from e


def names(kind: str) -> list[str]:
    """Names of the shipped `targets`, `boards` or `recipes`, sorted."""
    return sorted(p.stem for p in (SPEC_DIR / kind).glob("*.toml"))


def _named(kind: str, name: str) -> Mapping[str, Any]:
    known = names(kind)
    if name in known:
        return read_toml(SPEC_DIR / kind / f"{name}.toml", kind[:-1])
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return read_toml(path, kind[:-1])
    raise DftError(f"unknown {kind[:-1]} {name!r}", f"known: {', '.join(known)}, or the path of a .toml file")


def target(name: str) -> Mapping[str, Any]:
    """The target (chip) called `name`, or the .toml file at that path."""
    return _named("targets", name)


def board(name: str) -> Mapping[str, Any]:
    """The board called `name`, or the .toml file at that path."""
    return _named("boards", name)


def recipe(name: str) -> Mapping[str, Any]:
    """The training recipe called `name`, or the .toml file at that path."""
    return _named("recipes", name)


@cache
def protocol() -> Mapping[str, Any]:
    """protocol.toml, the only source of the link's constants."""
    return read_toml(SPEC_DIR / "protocol.toml", "protocol")


@cache
def protocol_digest() -> bytes:
    """Eight bytes that change with anything in protocol.toml: both sides of the link must agree on them."""
    return hashlib.sha256(canonical_json(protocol())).digest()[:8]


@cache
def ops() -> Mapping[str, Any]:
    """ops.toml: the int8 operators that dftiny knows."""
    return read_toml(SPEC_DIR / "ops.toml", "operator table")


@cache
def nets() -> Mapping[str, Any]:
    """nets.toml: parameters, MACs and RAM of the nets that can be trained, by name."""
    return read_toml(SPEC_DIR / "nets.toml", "table of nets")


@cache
def thesis() -> Mapping[str, Any]:
    """thesis.toml: the thesis' tables, and the grid that answers them."""
    return read_toml(SPEC_DIR / "thesis.toml", "thesis' tables")


@cache
def schema(name: str) -> Mapping[str, Any]:
    """The JSON schema of `name`.json, e.g. schema("bench")."""
    value: Mapping[str, Any] = read_json(SPEC_DIR / "schema" / f"{name}.json", "schema")
    return value


@cache
def tree_dir() -> Path:
    """Where CMakeLists.txt, firmware/ and models/ lie: the checkout, or the copy inside the wheel."""
    for path in (_PACKAGE_DIR / "_tree", _PACKAGE_DIR.parents[1]):
        if (path / "firmware").is_dir():
            return path
    raise DftError("the firmware tree was not found beside this installation", "install dftiny again")


def firmware_dir() -> Path:
    """The firmware source tree."""
    return tree_dir() / "firmware"


def models_dir() -> Path:
    """The released models."""
    return tree_dir() / "models"
