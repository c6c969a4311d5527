"""Training the world model: losses, loop, and resuming."""
