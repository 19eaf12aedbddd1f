"""Messages: payloads packed and unpacked by the tables of spec/protocol.toml, the only home of ids and fields.

Nothing here names an id. A message is its name and its fields; device.py asks for them by name. No I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from dftiny import spec
from dftiny.errors import DftError
from dftiny.link.frame import Frame

# protocol.toml's field types → struct's. "rest" has no fixed size and is handled apart.
_STRUCT = MappingProxyType(
    {
        **{"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i"},
        **{"bytes8": "8s", "bytes12": "12s", "bytes32": "32s", "str16": "16s"},
    }
)


class MessageError(DftError):
    """A payload that does not fit its message, or an unknown message."""


@dataclass(frozen=True)
class Layout:
    """One message of protocol.toml: fixed fields in order, then perhaps one field that takes the rest."""

    name: str
    id: int
    doc: str
    fixed: tuple[tuple[str, str], ...]
    rest: str | None

    @property
    def format(self) -> str:
        """struct format of the fixed part (little endian, no padding)."""
        return "<" + "".join(_STRUCT[kind] for _, kind in self.fixed)

    @property
    def bytes(self) -> int:
        """Bytes of the fixed part."""
        return struct.calcsize(self.format)


@dataclass(frozen=True)
class Message:
    """A decoded message: `message["received"]`. Integers are int, bytesN and rest are bytes, str16 is str."""

    name: str
    fields: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]


def _layout(entry: Mapping[str, Any]) -> Layout:
    fields = [(str(n), str(k)) for n, k in entry["fields"]]
    rest = fields.pop()[0] if fields and fields[-1][1] == "rest" else None
    unknown = [k for _, k in fields if k not in _STRUCT]
    if unknown:
        raise MessageError(f"protocol.toml: message {entry['name']} has a field of unknown type {unknown[0]}")
    return Layout(entry["name"], int(entry["id"]), entry["doc"], tuple(fields), rest)


@cache
def layouts() -> Mapping[str, Layout]:
    """Every message of protocol.toml by name."""
    return MappingProxyType({e["name"]: _layout(e) for e in spec.protocol()["message"]})


@cache
def _by_id() -> Mapping[int, Layout]:
    return {layout.id: layout for layout in layouts().values()}


def layout(name: str) -> Layout:
    """The layout called `name`; MessageError when protocol.toml has none."""
    if name not in layouts():
        raise MessageError(f"the protocol has no message {name!r}", f"known: {', '.join(layouts())}")
    return layouts()[name]


def status_code(name: str) -> int:
    """The wire value of a status, e.g. status_code("no_input")."""
    return int(spec.protocol()["status"][name])


def coding(name: str) -> int:
    """The wire value of a piece's coding, "raw" or "packed"."""
    return int(spec.protocol()["coding"][name])


def decision_name(code: int) -> str:
    """The name of a photo's decision: "none", "real", "fake", "undecided"; "decision 9" for one that is unknown."""
    names: dict[int, str] = {int(v): k for k, v in spec.protocol()["decision"].items()}
    return names.get(code, f"decision {code}")


@cache
def _status_names() -> Mapping[int, str]:
    return {int(v): k for k, v in spec.protocol()["status"].items()}


def status_name(code: int) -> str:
    """The name of a status that came over the wire, "status 77" for one that protocol.toml does not know."""
    return _status_names().get(code, f"status {code}")


def cause_name(code: int) -> str:
    """The name of a hello's reset_cause, "unknown" for one that protocol.toml does not know."""
    return next((n for n, c in spec.protocol()["reset_cause"].items() if c == code), "unknown")


def cap_names(caps: int) -> frozenset[str]:
    """Names of the bits set in hello.caps; unknown bits are ignored (a newer board may claim more)."""
    return frozenset(n for n, bit in spec.protocol()["caps"].items() if caps & int(bit))


def encode(name: str, seq: int = 0, /, **fields: Any) -> Frame:
    """The frame of message `name`. MessageError when fields are missing, unknown or out of range."""
    shape = layout(name)
    expected = [n for n, _ in shape.fixed] + ([shape.rest] if shape.rest else [])
    if set(fields) != set(expected):
        raise MessageError(f"message {name} has the fields {expected}, not {sorted(fields)}")
    try:
        payload = struct.pack(shape.format, *(_raw(n, k, fields[n]) for n, k in shape.fixed))
    except struct.error as e:
        raise MessageError(f"message {name}: {e}") from e
    return Frame(shape.id, seq, payload + (bytes(fields[shape.rest]) if shape.rest else b""))


def _raw(field: str, kind: str, value: Any) -> Any:
    """struct pads and truncates bytes silently, so their length is checked here."""
    if kind == "str16":
        value = value.encode("ascii")
        if len(value) > 15 or 0 in value:
            raise MessageError(f"{field}: at most 15 characters and no NUL, got {value!r}")
    elif kind.startswith("bytes") and len(value) != int(kind[5:]):
        raise MessageError(f"{field}: {kind[5:]} bytes wanted, got {len(value)}")
    return value


def decode(frame: Frame) -> Message:
    """The message in a frame. MessageError for an unknown type or a payload of the wrong length."""
    shape = _by_id().get(frame.type)
    if shape is None:
        raise MessageError(f"unknown message type 0x{frame.type:02x}")
    size = struct.calcsize(shape.format)
    fits = len(frame.payload) >= size if shape.rest else len(frame.payload) == size
    if not fits:
        raise MessageError(f"message {shape.name} has {size} bytes, got {len(frame.payload)}")
    values = struct.unpack_from(shape.format, frame.payload)
    fields = {n: _cooked(k, v) for (n, k), v in zip(shape.fixed, values, strict=True)}
    if shape.rest:
        fields[shape.rest] = frame.payload[size:]
    return Message(shape.name, MappingProxyType(fields))


def _cooked(kind: str, value: Any) -> Any:
    # A device may send any 16 bytes: what is not ASCII is shown escaped, never an exception.
    return value.split(b"\0")[0].decode("ascii", "backslashreplace") if kind == "str16" else value


def describe(frame: Frame) -> str:
    """One line for --trace: name, seq and short fields."""
    try:
        message = decode(frame)
    except MessageError as e:
        return f"{frame.seq:3d} ? type 0x{frame.type:02x}, {len(frame.payload)} bytes ({e.cause})"
    shown = " ".join(f"{n}={_short(v)}" for n, v in message.fields.items())
    return f"{frame.seq:3d} {message.name} {shown}".rstrip()


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return f"{value[:8].hex()}…({len(value)})" if len(value) > 8 else value.hex() or "-"
    return str(value)
