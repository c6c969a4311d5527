"""worldmodel/Dream-v0: a learned world as a Gymnasium environment, single or N dreams in one batched forward pass."""

from worldmodel.envs.dream.futures import DreamFutures
from worldmodel.envs.dream.single import DreamEnv
from worldmodel.envs.dream.snapshot import DreamSnapshot
from worldmodel.envs.dream.vector import DreamVectorEnv, TensorStep
from worldmodel.model.dreams import TruncatedBy

__all__ = ["DreamEnv", "DreamFutures", "DreamSnapshot", "DreamVectorEnv", "TensorStep", "TruncatedBy"]
