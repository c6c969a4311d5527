"""YAML only: one file per command of `worldmodel`, found by Hydra as pkg://worldmodel.configs."""
