"""Which files of the firmware tree a piece of C needs: headers by their includes, sources by the functions named.

Reads text only, so no compiler is needed. In doubt a file is taken: a linker drops what nobody calls. Called by
library.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dftiny.errors import DftError

# Where includes are looked up and functions are found, below the firmware tree.
FOLDERS = ("include", "engines/aot", "kernels", "kernels/m7")
M7 = "kernels/m7/"

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_INCLUDE = re.compile(r'^\s*[#.]\s*include\s+"([^"]+)"', re.MULTILINE)
# A public name; a name that a macro completes counts as everything that begins so.
_NAME = re.compile(r"\bdft_\w*(?:\\|\s*##)?")
_FUNCTION = re.compile(r"^(?!static\b)[a-z_][\w\s*]*?\b(dft_\w+)\s*\([^;{}]*\)\s*\{", re.MULTILINE)
_OBJECT = re.compile(r"^(?!static\b)[a-z_][\w\s*]*?\b(dft_\w+)\s*(?:\[[^\]]*\]\s*)*=", re.MULTILINE)
_MACRO_MADE = re.compile(r"^[A-Z][A-Z0-9_]*\([^\n]*", re.MULTILINE)
_USE = re.compile(r"^[ \t]+(?:b|bl|b\.w|bl\.w|ldr|adr|movw|movt|\.word|\.long)\b[^\n]*", re.MULTILINE)
# Headers declare at the left margin and use names inside of functions and macros.
_INSIDE = re.compile(r"^(?:[ \t]+|#[ \t]*define\b)[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class _File:
    """A file of the tree: what it includes, the names it speaks of, and those it defines."""

    includes: tuple[str, ...]
    mentions: frozenset[str]
    defines: frozenset[str]


def needed_files(texts: Iterable[str], firmware: Path) -> tuple[str, ...]:
    """Paths below `firmware`, sorted, of all files that C sources with these texts need to compile and link.

    A file of kernels/m7 is among them when its portable twin is, or when it defines a function that is needed.
    Raises DftError when a file cannot be read.
    """
    tree = {path: _read(firmware / path, path) for path in _paths(firmware)}
    found: set[str] = set()
    waiting = [_parsed(text, header=False) for text in texts]
    while waiting:
        file = waiting.pop()
        needed = {*_included(file, tree), *_defining(file, tree)}
        needed |= {twin for path in needed for twin in twins(path, tree)}
        waiting += [tree[path] for path in needed - found]
        found |= needed
    return tuple(sorted(found))


def twins(path: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of `paths` in kernels/m7 that take the place of the portable kernel `path` on Cortex-M."""
    if not path.startswith("kernels/") or path.startswith(M7) or not path.endswith(".c"):
        return ()
    stem = Path(path).stem
    return tuple(p for p in paths if p in (f"{M7}{stem}.c", f"{M7}{stem}.S"))


def _paths(firmware: Path) -> Iterator[str]:
    for folder in FOLDERS:
        where = firmware / folder
        below = where.rglob("*") if folder == "include" else where.glob("*")
        for path in sorted(p for p in below if p.suffix in (".c", ".h", ".S", ".inc")):
            yield path.relative_to(firmware).as_posix()


def _read(path: Path, name: str) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise DftError(f"cannot read {path}: {e.strerror}", "install dftiny again") from e
    file = _parsed(text, header=path.suffix == ".h")
    return _File(file.includes, file.mentions, _defined(text, name))


def _parsed(text: str, *, header: bool) -> _File:
    plain = _COMMENT.sub(" ", text)
    mentioned = "\n".join(_INSIDE.findall(plain)) if header else plain
    return _File(tuple(_INCLUDE.findall(text)), _names(mentioned), frozenset())


def _defined(text: str, name: str) -> frozenset[str]:
    plain = _COMMENT.sub(" ", text)
    if name.endswith((".h", ".inc")):
        return frozenset()
    if name.endswith(".S"):
        return _names(_USE.sub("", plain))
    made = "\n".join(_MACRO_MADE.findall(plain))
    return frozenset({*_FUNCTION.findall(plain), *_OBJECT.findall(plain)}) | _names(made)


def _names(text: str) -> frozenset[str]:
    """All public names; "dft_x_*" for one that a macro completes."""
    return frozenset(re.sub(r"(?:\\|\s*##)$", "*", name) for name in _NAME.findall(text))


def _meet(mentions: frozenset[str], defines: frozenset[str]) -> bool:
    """They share a name, or one begins as an open-ended name of the other says."""
    return bool(mentions & defines) or _begins(mentions, defines) or _begins(defines, mentions)


def _begins(open_ended: frozenset[str], names: frozenset[str]) -> bool:
    return any(n.startswith(o[:-1]) for o in open_ended if o.endswith("*") for n in names)


def _included(file: _File, tree: Mapping[str, _File]) -> Iterator[str]:
    for name in file.includes:
        yield from [p for p in (f"{folder}/{name}" for folder in FOLDERS) if p in tree][:1]


def _defining(file: _File, tree: Mapping[str, _File]) -> Iterator[str]:
    yield from (path for path, other in tree.items() if _meet(file.mentions, other.defines))
