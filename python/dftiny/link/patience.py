"""When to ask again: how long the other side has taken so far decides how long it is waited for. Pure; no clock.

Called by device.py and conveyor.py, which give it the seconds that they have measured.
"""

from __future__ import annotations

RETRY_FIRST_S = 1.0  # before the first round trip was seen
RETRY_MIN_S = 0.02  # a busy computer's scheduler needs as much
RETRY_MAX_S = 1.0


class Patience:
    """Smoothed round trip + 4 deviations (RFC 6298), longer after each silence in a row.

    The growth is gentle: on a line of one's own a lost reply means damage, not the congestion that doubling is for.
    """

    def __init__(self) -> None:
        self._smooth_s, self._deviation_s, self._silences = RETRY_FIRST_S, 0.0, 0
        self._known = False

    def wait_s(self) -> float:
        """Seconds to wait for an answer before asking again."""
        base = max(RETRY_MIN_S, self._smooth_s + 4 * self._deviation_s)
        return min(max(RETRY_MAX_S, base), base * 1.5 ** min(self._silences, 20))

    def answered(self, seconds: float) -> None:
        """An answer came after so long; never told of an answer that may belong to an earlier copy (Karn)."""
        self._silences = 0
        if not self._known:
            self._known, self._smooth_s, self._deviation_s = True, seconds, seconds / 2
        self._deviation_s += (abs(seconds - self._smooth_s) - self._deviation_s) / 4
        self._smooth_s += (seconds - self._smooth_s) / 8

    def heard(self) -> None:
        """An answer came, and nobody knows to which copy: the other side is there, and that is all it says."""
        self._silences = 0

    def silent(self) -> None:
        """No answer came in time."""
        self._silences += 1
