"""dftiny: real-vs-fake image detectors on a microcontroller, every step proved before the next."""

from __future__ import annotations

__version__ = "0.1.0"
