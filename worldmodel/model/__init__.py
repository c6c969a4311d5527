"""The world model: network, denoiser, sampler, and how they are saved and loaded."""
