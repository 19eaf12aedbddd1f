"""One tile on its way to the board: which pieces are under way, what has arrived, and how large the next piece is.

Pure: neither sends nor looks at a clock. Go back N: the board takes pieces in order, and its `received` is cumulative, so
a gap or a silence means to begin again at `received`. Called by conveyor.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from dftiny.link import messages
from dftiny.link.frame import max_payload
from dftiny.link.pack import Geometry, pack, pays, residuals

PIECE_MIN_BYTES = 32
WINDOW_BYTES = 16384  # where the board says that it cannot lose anything
WINDOW_PIECES = 16.0  # to begin with
WINDOW_PIECES_MIN = 4.0  # a loss is noticed by the gap before the next piece, long before its deadline
BYTES_UNDER_WAY_MIN = 512  # of short pieces there are as many as that
WINDOW_PIECES_MAX = 64.0
FRAME_BYTES = 9  # type, seq, CRC, delimiter and COBS of a short frame


@dataclass(frozen=True)
class Piece:
    """A piece under way: bytes start…end of the tile, its request's number, when it went out, and its wire bytes.

    `again`: these bytes had been sent before, so its answer tells nothing about the round trip (Karn).
    """

    start: int
    end: int
    seq: int
    sent_s: float
    wire_bytes: int
    ahead_bytes: int
    again: bool


@dataclass
class Pace:
    """How much is sent at once, kept from tile to tile: piece and window shrink on damage and grow back.

    A line that damages single bytes wants short pieces; one that loses pieces wants few of them under way, because
    everything behind a gap is sent again.
    """

    window_bytes: int
    piece_max: int
    piece: int
    pieces: float = WINDOW_PIECES

    def lost(self, in_a_row: int) -> None:
        """A piece or its answer did not arrive, the `in_a_row`-th time."""
        self.piece = max(PIECE_MIN_BYTES, self.piece * 3 // 4 if in_a_row <= 1 else self.piece // 2)
        self.pieces = max(
            WINDOW_PIECES_MIN, min(WINDOW_PIECES, BYTES_UNDER_WAY_MIN / self.piece), self.pieces / 2
        )

    def arrived(self) -> None:
        """A piece arrived."""
        self.piece = min(self.piece_max, self.piece + max(16, self.piece // 16))
        self.pieces = min(WINDOW_PIECES_MAX, self.pieces + 1 / self.pieces)


def pace(window_bytes: int) -> Pace:
    """The pace for a board that keeps so many bytes while it is busy (0: it cannot lose any)."""
    window = window_bytes or WINDOW_BYTES
    most = max_payload() - messages.layout("input").bytes
    piece = max(PIECE_MIN_BYTES, min(most, window // 4))
    return Pace(window, piece, piece)


@dataclass(frozen=True)
class Coder:
    """How pieces are packed, if they are; `bytes_per_s` and `clock_hz` decide whether it pays."""

    geometry: Geometry
    bytes_per_s: float
    clock_hz: int


@dataclass
class Transfer:
    """The state of one tile: `base` bytes have arrived, `next` have been sent."""

    tile: bytes
    image_id: int
    pace: Pace
    coder: Coder | None
    base: int = 0
    next: int = 0
    highest: int = 0  # bytes that were sent at least once
    losses: int = 0  # in a row
    under_way: deque[Piece] = field(default_factory=deque)
    folded: NDArray[uint8] | None = None

    @property
    def complete(self) -> bool:
        """The board has the whole tile."""
        return self.base == len(self.tile)

    @property
    def bytes_under_way(self) -> int:
        """On the wire and unanswered."""
        return sum(p.wire_bytes for p in self.under_way)

    def may_send(self) -> bool:
        """There is something to send, and the window has room for it."""
        if self.next >= len(self.tile) or len(self.under_way) >= int(self.pace.pieces):
            return False
        more = min(self.pace.piece, len(self.tile) - self.next) + messages.layout("input").bytes + FRAME_BYTES
        return not self.under_way or self.bytes_under_way + more <= self.pace.window_bytes

    def fields(self) -> dict[str, Any]:
        """Offset, length, coding and data of the next piece."""
        n = self.pace.piece
        if self.coder is not None:  # a packed piece begins with a pixel
            n -= n % self.coder.geometry.pixel_bytes
        data = self.tile[self.next : self.next + n]
        coding, coded = self._coded(data)
        return {"offset": self.next, "raw_bytes": len(data), "coding": coding, "data": coded}

    def _coded(self, data: bytes) -> tuple[int, bytes]:
        raw = messages.coding("raw")
        if self.coder is None:
            return raw, data
        if self.folded is None:
            self.folded = residuals(self.tile, self.coder.geometry)
        packed = pack(self.folded[self.next : self.next + len(data)], 0, self.coder.geometry)
        worth = pays(len(data), len(packed), self.coder.bytes_per_s, self.coder.clock_hz)
        return (messages.coding("packed"), packed) if worth else (raw, data)

    def sent(self, end: int, seq: int, now_s: float, wire_bytes: int) -> None:
        """The piece that fields() gave has gone out."""
        again = self.next < self.highest
        self.under_way.append(Piece(self.next, end, seq, now_s, wire_bytes, self.bytes_under_way, again))
        self.next = end
        self.highest = max(self.highest, end)

    def arrived(self, received: int, seq: int) -> Piece | None:
        """`received` bytes are there; the piece that this answers, None for an old or doubled answer."""
        found = next((p for p in self.under_way if p.seq == seq), None)
        if received > self.base:
            self.base = min(received, len(self.tile))
            self.next = max(self.next, self.base)
            self.losses = 0
            self.pace.arrived()
        while self.under_way and self.under_way[0].end <= self.base:
            self.under_way.popleft()
        return found

    def gap(self, received: int, seq: int) -> bool:
        """The board says that bytes before this piece are missing: go back to them, once for all pieces under way."""
        if all(p.seq != seq for p in self.under_way):
            return False
        self.base = max(self.base, min(received, len(self.tile)))
        self.back()
        return True

    def back(self) -> None:
        """Begin again at what has arrived."""
        self.losses += 1
        self.pace.lost(self.losses)
        self.next = self.base
        self.under_way.clear()
