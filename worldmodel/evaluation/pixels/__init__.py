"""Metrics on frames, rewards and ends, for any environment."""
