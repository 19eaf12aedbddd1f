"""`dftiny boards`: what spec/boards says, as a table."""

from __future__ import annotations

from dftiny import spec

HEAD = ("board", "title", "target", "transport", "claims", "silicon")


def boards_table() -> str:
    """One line a board: what it is, how it is reached, and what its numbers may claim."""
    rows = [HEAD]
    for name in spec.names("boards"):
        b = spec.board(name)
        transport = str(b["transport"]) + (f", {b['baud']} baud" if "baud" in b else "")
        claims = ", ".join(b["claims"]) or "function only"
        silicon = "no" if not b["silicon"] else "yes" if b.get("verified_on_silicon") else "never run there"
        rows.append((name, str(b["title"]), str(b["target"]), transport, claims, silicon))
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(row, widths, strict=True)).rstrip() for row in rows)
