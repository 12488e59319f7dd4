"""Clocks: where time comes from."""
