"""Measuring the dream against the simulator it was learned from."""
