"""What agents are compared with: PPO of Stable-Baselines3 on pixels, and an expert on the state."""
