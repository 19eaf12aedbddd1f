"""Stage folders and their manifest.json: what was made, from what, with which tools.

Every stage writes into a temporary sibling and renames it at the end, so a folder is whole or absent.
The hashed part of a manifest holds no clock and no path of this machine: equal inputs give equal digests.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny import __version__
from dftiny.errors import CheckFailed, DftError

MANIFEST = "manifest.json"
SCHEMA = 1
MADE_BY = {"bundle": "export", "library": "export --library"}  # every other stage has its command's name
SWAPS = 5  # so often may another run put its result there in between


@dataclass(frozen=True)
class Manifest:
    """One stage's manifest. `digest` is the SHA-256 (hex) of the canonical JSON of all other fields."""

    stage: str
    files: Mapping[str, Mapping[str, Any]]
    parents: Mapping[str, str]
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tools: Mapping[str, str]
    digest: str


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: the bytes that digests are made of."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def tool_versions(*packages: str) -> dict[str, str]:
    """Versions of Python, dftiny and the named distributions ("absent" when not installed)."""
    versions = {"dftiny": __version__, "python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def reason(error: OSError) -> str:
    """What the operating system said, in a few words; numpy's and pillow's own errors carry text only."""
    return error.strerror or str(error) or type(error).__name__


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[Any]:
    """Open a temporary sibling of `path` for writing; rename it over `path` only if the block succeeds."""
    encoding = None if "b" in mode else "utf-8"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as e:
        raise DftError(f"cannot write {path}: {reason(e)}", "choose another folder or free some space") from e
    temporary = Path(name)
    try:
        with os.fdopen(fd, mode, encoding=encoding) as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as e:
        raise DftError(f"cannot write {path}: {reason(e)}", "choose another folder or free some space") from e
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write indented, sorted JSON atomically."""
    with atomic_write(path, "w") as f:
        json.dump(value, f, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        f.write("\n")


def read_json(path: Path, what: str = "file") -> Any:
    """Read JSON; DftError names the file when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise DftError(f"cannot read {what} {path}: {e.strerror}") from e
    except ValueError as e:
        raise DftError(f"{path} is not a valid JSON {what}: {e}", "copy or make it again") from e


@contextlib.contextmanager
def new_folder(
    path: Path, *, stage: str | None = None, force: bool = False, option: str = "--out"
) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `path` when the block succeeds, and vanishes when not.

    An existing `path` is only replaced when it is empty, holds an earlier result of dftiny (of `stage`, where
    that is given), or `force` is set: neither a user's own files nor another stage are ever thrown away. `option` is
    what the user chose `path` with, for hints.
    """
    refuse_foreign(path, stage=stage, force=force, option=option)
    path = path.resolve()  # through links, so that a folder that lies on another disk stays there
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as e:
        raise DftError(f"cannot create {path}: {reason(e)}", f"choose another {option}") from e
    try:
        temporary.chmod(0o755)
        yield temporary
        _swap(temporary, path)
    except OSError as e:
        raise DftError(
            f"cannot write {path}: {reason(e)}", f"choose another {option} or free some space"
        ) from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_foreign(
    path: Path, *, stage: str | None = None, force: bool = False, option: str = "--out"
) -> None:
    """DftError when `path` is something that new_folder would not replace: asked before slow work begins."""
    try:
        if Path.cwd().is_relative_to(path.resolve()):
            raise DftError(
                f"{path} is the current folder, or around it", f"give {option} a folder of its own"
            )
        if force or not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        found = _stage_of(path)
    except OSError as e:
        raise DftError(f"cannot write {path}: {reason(e)}", f"choose another {option}") from e
    if found is None:
        raise DftError(
            f"{path} exists and was not made by dftiny", f"choose another {option} or remove it yourself"
        )
    if stage is not None and found != stage:
        raise DftError(
            f"{path} holds a {found} stage, which {stage} would replace",
            f"choose another {option} or remove it yourself",
        )


def _stage_of(path: Path) -> str | None:
    """The stage that wrote `path`, None when its manifest is absent or somebody else's."""
    if not (path / MANIFEST).is_file():
        return None
    try:
        return _manifest(read_json(path / MANIFEST, "manifest")).stage
    except (DftError, KeyError, TypeError):
        return None


def _swap(temporary: Path, path: Path) -> None:
    """Put `temporary` in the place of `path`, the old one aside first: a kill leaves one of them whole.

    Of two runs that end at the same moment the last one stays.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for attempt in range(SWAPS):
            old = aside / str(attempt)
            with contextlib.suppress(FileNotFoundError):
                path.replace(old)
            try:
                temporary.replace(path)
                return
            except OSError as e:
                if e.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == SWAPS - 1:
                    if old.exists() and not path.exists():
                        old.replace(path)
                    raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_manifest(
    folder: Path,
    stage: str,
    *,
    files: Iterable[str],
    parents: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    tools: Mapping[str, str] | None = None,
) -> Manifest:
    """Hash `files` (names relative to `folder`) and write `folder/manifest.json`.

    `parents` maps a role ("data", "checkpoint") to the digest of the manifest or file it came from.
    """
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "stage": stage,
        "files": {
            n: {"sha256": sha256_file(folder / n), "bytes": (folder / n).stat().st_size}
            for n in sorted(files)
        },
        "parents": dict(parents or {}),
        "config": dict(config or {}),
        "metrics": dict(metrics or {}),
        "tools": dict(tools or tool_versions()),
    }
    digest = hashlib.sha256(canonical_json(body)).hexdigest()
    write_json(folder / MANIFEST, {**body, "digest": digest})
    return _manifest({**body, "digest": digest})


def _manifest(value: Mapping[str, Any]) -> Manifest:
    return Manifest(
        stage=value["stage"],
        files=value["files"],
        parents=value["parents"],
        config=value["config"],
        metrics=value["metrics"],
        tools=value["tools"],
        digest=value["digest"],
    )


def read_manifest(folder: Path, stage: str | None = None, *, verify: bool = True) -> Manifest:
    """Read `folder/manifest.json`; check its stage and, with `verify`, every file's hash and its own digest.

    Raises DftError when it is missing, malformed or of another stage, CheckFailed when a file was changed.
    """
    hint, first = "give a stage's folder", ""
    if stage is not None:
        maker = f"`dftiny {MADE_BY.get(stage, stage)}`"
        hint, first = f"give the folder that {maker} wrote", f"run {maker} first, or "
    if not folder.exists():
        raise DftError(f"there is no folder {folder}", first + hint)
    if not folder.is_dir():
        raise DftError(f"{folder} is not a folder", hint)
    if not (folder / MANIFEST).exists():
        raise DftError(f"{folder} has no {MANIFEST}", hint)
    value = read_json(folder / MANIFEST, "manifest")
    try:
        manifest = _manifest(value)
    except (KeyError, TypeError) as e:
        raise DftError(f"{folder / MANIFEST} is not a dftiny manifest (missing {e})", hint) from e
    if stage is not None and manifest.stage != stage:
        raise DftError(f"{folder} holds a {manifest.stage} stage, not {stage}", hint)
    if verify:
        _verify(folder, manifest, value)
    return manifest


def _verify(folder: Path, manifest: Manifest, value: Mapping[str, Any]) -> None:
    body = {k: v for k, v in value.items() if k != "digest"}
    if hashlib.sha256(canonical_json(body)).hexdigest() != manifest.digest:
        raise CheckFailed(f"{folder / MANIFEST} was changed after it was written", "run the stage again")
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckFailed(f"{path} is missing, its manifest lists it", "run the stage again")
        if sha256_file(path) != entry["sha256"]:
            raise CheckFailed(f"{path} was changed after it was written", "run the stage again")
