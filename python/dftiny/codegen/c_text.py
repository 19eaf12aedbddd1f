"""C source text from numbers: arrays and const structs. Integers only, so that equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dftiny.kernels.calls import Const, Field

LINE = 110

# Members of a parameter struct, and names of arrays as it points to them.
Members = Sequence[tuple[str, "Field | str"]]


def wrapped(items: Iterable[str], indent: str = "    ") -> str:
    """Items joined by ", " and broken at LINE characters, every line indented."""
    lines: list[str] = []
    current = ""
    for item in items:
        if current and len(indent) + len(current) + len(item) + 3 > LINE:
            lines.append(f"{indent}{current},")
            current = item
        else:
            current = f"{current}, {item}" if current else item
    if current:
        lines.append(f"{indent}{current},")
    return "\n".join(lines)


def constant(name: str, const: Const) -> str:
    """The `static` definition of a constant array."""
    if const.code:
        body = wrapped(const.code)
        return f"static {const.ctype} *const {name}[{len(const.code)}] = {{\n{body}\n}};\n"
    if const.ctype == "dft_channel":
        return struct_array("dft_channel", name, const.values.tolist())
    return int_array(const.ctype, name, const.values)


def int_array(ctype: str, name: str, values: np.ndarray) -> str:
    """A `static const` array of integers, flattened."""
    flat = values.reshape(-1).tolist()
    return f"static const {ctype} {name}[{len(flat)}] = {{\n{_numbers(flat)}\n}};\n"


def _numbers(flat: Sequence[int]) -> str:
    per_line = 24
    rows = (flat[i : i + per_line] for i in range(0, len(flat), per_line))
    return "\n".join("    " + ", ".join(map(str, row)) + "," for row in rows)


def struct_array(ctype: str, name: str, rows: Sequence[Sequence[int]]) -> str:
    """A `static const` array of structs, each row its members in order."""
    body = wrapped("{" + ", ".join(map(str, row)) + "}" for row in rows)
    return f"static const {ctype} {name}[{len(rows)}] = {{\n{body}\n}};\n"


def struct(ctype: str, name: str, fields: Members) -> str:
    """A `static const` struct with designated initialisers."""
    return f"static const {ctype} {name} = {{\n{_members(fields, '    ')}\n}};\n"


def _members(fields: Members, indent: str) -> str:
    lines = []
    for name, value in fields:
        if isinstance(value, tuple) and value and isinstance(value[0], tuple):
            lines.append(f"{indent}.{name} = {{\n{_members(value, indent + '    ')}\n{indent}}},")  # type: ignore[arg-type]
        elif isinstance(value, tuple):
            lines.append(f"{indent}.{name} = {{{', '.join(map(str, value))}}},")
        else:
            lines.append(f"{indent}.{name} = {value},")
    return "\n".join(lines)
