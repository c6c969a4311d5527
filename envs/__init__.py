"""Real MuJoCo scenes, the pixel wrapper around any Gymnasium id, and the learned environment."""
