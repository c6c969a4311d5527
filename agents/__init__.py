"""Policies, and agents that learn in the dream or in the real scene."""
