"""Exact instruction counts of a model's engine, from QEMU with a plugin. For tools/counts and tests.

    engine → image → run → listing → profile (→ cycles) → measure → view, baseline

Everything is counted in the emulator; nothing here is a time. The C side is firmware/counting.
"""
