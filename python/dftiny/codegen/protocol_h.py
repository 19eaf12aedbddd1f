"""dft_protocol.h from spec/protocol.toml: ids, statuses, capability bits, field offsets and sizes, digest.

A field's offset is DFT_<MESSAGE>_<FIELD>_AT, a message's size without a trailing "rest" field DFT_<MESSAGE>_BYTES.
Pure text: equal protocols give equal bytes. Called by codegen/firmware.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from dftiny import spec
from dftiny.codegen.guard import banner
from dftiny.errors import DftError

# Field types of protocol.toml and their bytes; "rest" is what remains of the payload.
FIELD_BYTES: Mapping[str, int] = MappingProxyType(
    {
        **{"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i32": 4},
        **{"bytes8": 8, "bytes12": 12, "bytes32": 32, "str16": 16, "rest": 0},
    }
)


def protocol_h(protocol: Mapping[str, Any], digest: bytes) -> str:
    """The header's text. DftError when a message has a field of unknown type or a "rest" that is not last."""
    lines = [
        banner("the serial link's constants, from spec/protocol.toml"),
        "#ifndef DFT_PROTOCOL_H",
        "#define DFT_PROTOCOL_H",
        "",
        f"#define DFT_PROTOCOL_DIGEST {{{', '.join(f'0x{b:02X}' for b in digest)}}}",
        f"#define DFT_MAX_PAYLOAD {int(protocol['max_payload'])}u",
        f"#define DFT_DELIMITER {int(protocol['delimiter'])}",
        *(f"#define DFT_{kind.upper()}_BYTES {n}u" for kind, n in FIELD_BYTES.items() if kind[0] in "bs"),
        "",
        *_constants("status", "DFT_REPLY_", protocol["status"]),
        *_constants("coding", "DFT_CODING_", protocol["coding"]),
        *_constants("caps", "DFT_CAP_", protocol["caps"]),
        *_constants("decision", "DFT_DECISION_", protocol["decision"]),
        *_constants("reset_cause", "DFT_RESET_", protocol["reset_cause"]),
        *_constants("fault", "DFT_FAULT_", protocol["fault"]),
        *_constants("selftest", "DFT_SELFTEST_", protocol["selftest"]),
    ]
    for message in protocol["message"]:
        lines += [*_message(message), ""]
    return "\n".join([*lines, "#endif", ""])


def _constants(table: str, prefix: str, values: Mapping[str, int]) -> Iterator[str]:
    yield f"/* [{table}] */"
    for name, value in values.items():
        yield f"#define {prefix}{name.upper()} {int(value)}u"
    yield ""


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    name = str(message["name"]).upper()
    yield f"/* {message['name']}: {message['doc']} */"
    yield f"#define DFT_MSG_{name} 0x{int(message['id']):02X}u"
    at = 0
    for position, (field, kind) in enumerate(message["fields"], start=1):
        if kind not in FIELD_BYTES or (kind == "rest" and position != len(message["fields"])):
            raise DftError(
                f"protocol.toml: message {message['name']} has a field {field} of type {kind!r} there"
            )
        yield f"#define DFT_{name}_{field.upper()}_AT {at}u"
        at += FIELD_BYTES[kind]
    yield f"#define DFT_{name}_BYTES {at}u"


def shipped_protocol_h() -> str:
    """The header of the protocol this installation speaks."""
    return protocol_h(spec.protocol(), spec.protocol_digest())
