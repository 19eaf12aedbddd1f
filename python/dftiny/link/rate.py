"""`--baud auto`: the fastest rate that board, adapter and cable all carry, found by trying; back to the usual one else.

The board answers at the present rate, then changes; a frame at the new rate within half a second confirms it, otherwise
the board goes back by itself. Called by bench's stream and by device.py's recovery.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dftiny.link import messages
from dftiny.link.transport import LinkLost

if TYPE_CHECKING:
    from dftiny.link.device import Device

RATES = (3_000_000, 2_000_000, 1_500_000, 1_000_000)
PROOFS = 8  # hellos in a row, each answered at the first asking
PROOF_S = 0.3
FALL_BACK_S = 3.0  # the board's half second, and what a busy computer adds


def raise_rate(device: Device) -> int:
    """Settle on the highest rate that works; returns it, 0 where the channel has none. LinkLost when it all ends."""
    usual = round(device.transport.bytes_per_s * 10)
    if not usual or device.identity is None or "baud" not in device.identity.claims:
        return usual
    for baud in RATES:
        if baud > usual and _try(device, baud, usual):
            device.usual_baud = usual
            return baud
    return usual


def lower_rate(device: Device) -> None:
    """Leave the board at its usual rate for whoever comes next; one that does not answer finds back by itself."""
    usual, device.usual_baud = device.usual_baud, 0
    if not usual:
        return
    try:
        device.exchange("set_baud", limit_s=0.5, baud=usual)
        device.transport.set_baud(usual)
        device.exchange("hello", limit_s=0.5, session=0)
    except LinkLost:
        device.transport.set_baud(usual)


def _try(device: Device, baud: int, usual: int) -> bool:
    reply = device.exchange("set_baud", baud=baud)
    if reply.name != "set_baud_reply" or messages.status_name(reply["status"]) != "ok":
        return False
    if not device.transport.set_baud(baud):
        _back(device, usual)
        return False
    if _proved(device):
        return True
    _back(device, usual)
    return False


def _proved(device: Device) -> bool:
    try:
        for _ in range(PROOFS):
            retries = device.count.retries
            device.exchange("hello", limit_s=PROOF_S, session=0)
            if device.count.retries > retries + 1:  # the first may meet what the change left on the line
                return False
    except LinkLost:
        return False
    return True


def _back(device: Device, usual: int) -> None:
    """The usual rate again, and wait until the board is there as well."""
    device.transport.set_baud(usual)
    end = time.monotonic() + FALL_BACK_S
    while True:
        time.sleep(0.6)  # quiet, so that the board's half second passes
        try:
            device.exchange("hello", limit_s=0.3, session=0)
            return
        except LinkLost:
            if time.monotonic() >= end:
                raise
