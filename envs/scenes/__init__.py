"""MuJoCo scenes and games of our own, with the simulator's truth in their infos."""
