"""Turning measurements into one self-contained page and one JSON file."""
