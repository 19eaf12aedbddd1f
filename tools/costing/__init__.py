"""Fitting and checking the cost model: tools/cost is the door."""
