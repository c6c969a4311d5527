"""Moments of held-out or fresh episodes, and the real environment brought back to them."""
