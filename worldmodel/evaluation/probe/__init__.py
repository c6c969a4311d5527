"""The frozen network that reads states and objects from pictures."""
