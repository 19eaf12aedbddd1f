"""Puts this folder on the path, so that tests in every area can import flatmodel."""
