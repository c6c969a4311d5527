"""Metrics on states, objects, futures and returns (M1 to M10)."""
