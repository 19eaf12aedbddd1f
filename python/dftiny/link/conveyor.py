"""Tiles in, results out, in order: the next tile is under way while the board computes the one before it.

One loop, no threads: fill the window, wait for the next frame or the next deadline, act on it. Whatever is lost is
noticed by its deadline, by a gap in what the board has received, or by the board not knowing the session any more
(it was reset); then the tiles that are not done yet start again under new ids. Called by device.py.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dftiny.errors import CheckFailed
from dftiny.link import messages
from dftiny.link.channel import Received
from dftiny.link.messages import Message
from dftiny.link.replies import Result, result_of
from dftiny.link.transfer import Piece, Transfer
from dftiny.link.transport import LinkLost

if TYPE_CHECKING:
    from dftiny.link.device import Device

MAX_RESTARTS = 20  # of one tile: a board that resets for ever is lost too
LOSSES_MAX = 30  # of one piece in a row, from a board that does answer
BUSY_S = 0.05  # until a board that is busy with something else is asked again
RUN_ASK_MIN_S = 0.1  # a run that was accepted is not asked for more often


@dataclass
class Running:
    """A tile that the board has, and whose result is awaited."""

    tile: bytes
    image_id: int
    run_id: int
    started_s: float
    ask_s: float  # when to ask (again)
    asked: int = 0
    accepted_s: float = 0.0  # 0: not accepted yet


class Conveyor:
    """Runs the tiles of one iterator through `device`; iterate results()."""

    def __init__(self, device: Device, tiles: Iterator[bytes]) -> None:
        self._device, self._channel = device, device.channel
        self._tiles = tiles
        self._again: deque[bytes] = deque()  # tiles that must be sent once more, before new ones
        self._transfer: Transfer | None = None
        self._running: Running | None = None
        self._sending_since: float | None = None
        self._quiet_until = 0.0  # nothing is sent before: the board is busy
        self._restarts = 0

    def results(self) -> Iterator[Result]:
        """One Result a tile, in order. LinkLost, CheckFailed."""
        self._channel.heard_s = time.monotonic()
        while self._load():
            self._device.check_stop()
            self._send()
            for received in self._channel.receive(self._wait_s()):
                result = self._act(received)
                if result is not None:
                    self._restarts = 0
                    yield result
                    self._channel.heard_s = time.monotonic()  # the caller may have taken its time
            self._check_time()

    # --- sending ------------------------------------------------------------------------------------

    def _load(self) -> bool:
        """Take the next tile where there is room for it; False when nothing is left to do."""
        if self._transfer is None and (self._running is None or self._device.overlaps):
            tile = self._again.popleft() if self._again else next(self._tiles, None)
            if tile is not None:
                self._transfer = self._device.new_transfer(tile)
                self._sending_since = time.monotonic()
        return self._transfer is not None or self._running is not None

    def _send(self) -> None:
        if self._running is not None and time.monotonic() >= self._running.ask_s:
            self._ask_run(self._running)
        transfer = self._transfer
        while transfer is not None and transfer.may_send() and time.monotonic() >= self._quiet_until:
            if not self._send_piece(transfer):
                return

    def _send_piece(self, transfer: Transfer) -> bool:
        fields = transfer.fields()
        seq = self._channel.next_seq()
        ids = {"session": self._device.session, "image_id": transfer.image_id}
        data = fields["data"]
        deadline_s = self._device.link_patience.wait_s() + self._channel.line_s(len(data) + 64)
        n = self._channel.send("input", seq, {**ids, **fields}, deadline_s)
        if n:
            end = transfer.next + int(fields["raw_bytes"])
            transfer.sent(end, seq, time.monotonic(), n)
            self._channel.count.packed_bytes += len(data)
        else:
            transfer.back()
        return n > 0

    def _ask_run(self, running: Running) -> None:
        """Ask for the run, or for what became of it."""
        ids = {"session": self._device.session, "run_id": running.run_id, "image_id": running.image_id}
        fields = {**ids, "input_crc": zlib.crc32(running.tile), "photo_id": self._device.photo_id}
        if running.accepted_s:
            self._device.run_patience.silent()  # it takes longer than the others, or its result was lost
        elif running.asked:
            self._lost()
        running.asked += 1
        self._channel.send("run", self._channel.next_seq(), fields, self._device.link_patience.wait_s() + 1.0)
        wait_s = self._device.link_patience.wait_s() + self._channel.line_s(100 + self._bytes_under_way())
        if running.accepted_s:
            wait_s = max(wait_s, RUN_ASK_MIN_S)
        running.ask_s = time.monotonic() + wait_s

    def _bytes_under_way(self) -> int:
        return self._transfer.bytes_under_way if self._transfer else 0

    # --- deadlines ----------------------------------------------------------------------------------

    def _piece_deadline_s(self) -> float:
        """When the oldest piece counts as lost; infinite where none is under way."""
        if self._transfer is None or not self._transfer.under_way:
            return float("inf")
        oldest = self._transfer.under_way[0]
        on_line = self._channel.line_s(oldest.ahead_bytes + oldest.wire_bytes + 64)
        return oldest.sent_s + on_line + self._device.link_patience.wait_s()

    def _wait_s(self) -> float:
        now = time.monotonic()
        ends = [self._piece_deadline_s(), now + 1.0]
        if self._running is not None:
            ends.append(self._running.ask_s)
        if self._transfer is not None and self._quiet_until > now:
            ends.append(self._quiet_until)
        return max(0.0, min(ends) - now)

    def _check_time(self) -> None:
        now = time.monotonic()
        if (self._running is None or not self._running.accepted_s) and self._device.fall_back():
            self._recover()
        transfer = self._transfer
        if transfer is not None and now >= self._piece_deadline_s():
            self._lost()
            transfer.back()
        if transfer is not None and transfer.losses > LOSSES_MAX and now - self._channel.heard_s < 1.0:
            self._recover()  # it answers, and has never more
        running = self._running
        if running is None or not running.accepted_s:
            self._device.check_silence(
                max(transfer.losses if transfer else 0, running.asked if running else 0)
            )
        if running is not None and now - running.started_s > self._device.run_limit_s():
            raise LinkLost(f"the board on {self._channel.name} stopped answering in the middle of a run")

    def _lost(self) -> None:
        """Something was not answered in time."""
        self._channel.count.retries += 1
        self._channel.doubt()
        self._device.link_patience.silent()

    # --- what came ----------------------------------------------------------------------------------

    def _act(self, received: Received) -> Result | None:
        message = received.message
        if message is None:
            return None
        if message.name == "input_reply":
            self._on_input(message, received.seq)
        elif message.name == "run_reply":
            return self._on_run(message)
        return None

    def _on_input(self, message: Message, seq: int) -> None:
        transfer, status = self._transfer, messages.status_name(message["status"])
        if transfer is None or message["image_id"] != transfer.image_id:
            return
        if status == "ok":
            piece = transfer.arrived(message["received"], seq)
            if piece is not None and piece.end > message["received"]:
                self._recover()  # no sound board takes a piece and does not have it
            else:
                self._arrived(transfer, piece)
        elif status == "bad_offset":
            self._gap(transfer, message["received"], seq)
        elif status == "busy":
            self._board_is_busy(transfer, seq)
        elif status == "other_session":
            self._recover()
        elif status == "bad_coding" and transfer.coder is not None:
            transfer.coder = None
            self._gap(transfer, message["received"], seq)
        else:
            n = len(transfer.tile)
            raise CheckFailed(f"the board on {self._channel.name} refused a tile of {n} bytes: {status}")

    def _arrived(self, transfer: Transfer, piece: Piece | None) -> None:
        if piece is not None and not piece.again:
            took_s = time.monotonic() - piece.sent_s
            on_line = self._channel.line_s(piece.ahead_bytes + piece.wire_bytes)
            self._device.link_patience.answered(max(0.0, took_s - on_line))
        self._device.link_patience.heard()
        if transfer.complete and self._running is None:
            self._begin_run(transfer)

    def _gap(self, transfer: Transfer, received: int, seq: int) -> None:
        """The board did not take a piece: go back to what it has."""
        if not transfer.gap(received, seq):
            return
        self._channel.count.retries += 1
        self._device.link_patience.heard()
        if transfer.complete:
            self._recover()  # no sound board refuses a piece and has the whole tile

    def _begin_run(self, transfer: Transfer) -> None:
        now = time.monotonic()
        if self._sending_since is not None:
            self._channel.count.busy_s += now - self._sending_since
        self._channel.count.input_bytes += len(transfer.tile)
        self._running = Running(transfer.tile, transfer.image_id, self._device.new_id(), now, ask_s=now)
        self._transfer = None

    def _board_is_busy(self, transfer: Transfer, seq: int) -> None:
        """Something is in the way of this tile: most likely a run whose request was lost. Ask for it now."""
        if not transfer.gap(transfer.base, seq):
            return
        now = time.monotonic()
        if self._running is None:  # an image of this session that nobody wants any more
            self._recover()
            return
        self._quiet_until = now + BUSY_S
        if not self._running.accepted_s:
            self._running.ask_s = now

    def _on_run(self, message: Message) -> Result | None:
        running, status = self._running, messages.status_name(message["status"])
        if running is None or message["run_id"] != running.run_id:
            return None
        now = time.monotonic()
        if status == "ok":
            self._done(running, now)
            return result_of(message, self._channel.name, self._device.identity)
        if status == "running":
            self._accepted(running, now)
        elif status == "busy":
            running.ask_s = now + BUSY_S
        elif status == "no_photo":
            self._device.begin_photo()
            running.ask_s = now if running.asked == 1 else now + BUSY_S
        elif status in ("no_input", "bad_crc", "other_session"):
            self._recover()
        else:
            name = self._channel.name
            hint = "see its log, or bench with --trace"
            raise CheckFailed(f"the board on {name} could not run the model: {status}", hint)
        return None

    def _accepted(self, running: Running, now: float) -> None:
        if not running.accepted_s:
            running.accepted_s = now
            if running.asked == 1:
                self._device.link_patience.answered(now - running.started_s)
        self._quiet_until = 0.0
        running.ask_s = now + max(RUN_ASK_MIN_S, self._device.run_patience.wait_s())

    def _done(self, running: Running, now: float) -> None:
        self._device.run_patience.answered(now - (running.accepted_s or running.started_s))
        self._device.run_took(now - running.started_s)
        self._running = None
        self._quiet_until = 0.0
        if self._transfer is not None and self._transfer.complete:
            self._begin_run(self._transfer)

    def _recover(self) -> None:
        """The board does not know what it was sent: say hello, and send every tile that is not done once more."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise LinkLost(
                f"the board on {self._channel.name} lost the same tile {MAX_RESTARTS} times (does it keep resetting?)"
            )
        tiles = [part.tile for part in (self._running, self._transfer) if part is not None]
        self._again.extendleft(reversed(tiles))
        self._running = self._transfer = None
        self._quiet_until = 0.0
        self._device.take_again()
