"""Does a dream obey the physics of the simulator it was learned from? Metrics on states, objects and futures."""
