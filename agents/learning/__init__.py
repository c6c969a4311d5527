"""Reinforcement learning in dreams, or in the real environment: policy and value, PPO, the loop, exploit checks."""
