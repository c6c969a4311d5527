"""The recent past of a running environment: what a dream needs to go on from where it is."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from worldmodel.errors import EnvError

LENGTH = 32  # frames that are kept; 0.4 MB at 64x64
_WRAP = "wrap it in worldmodel.envs.recent_frames.RecentFrames before its reset"


class FrameRecord:
    """The last `length` frames since reset, and the actions between them; copies, so what is given may be reused.

    over: whether the episode has ended.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._frames: deque[np.ndarray] = deque(maxlen=length)
        self._actions: deque[Any] = deque(maxlen=length - 1)
        self.over = False

    @property
    def frames(self) -> list[np.ndarray]:
        """Oldest first, each uint8 [H,W,C]; empty before the first reset."""
        return list(self._frames)

    @property
    def actions(self) -> list[Any]:
        """Action i leads from frame i to frame i+1."""
        return list(self._actions)

    def begin(self, frame: np.ndarray) -> None:
        """An episode, or a restored state: nothing is known of what was before."""
        self._frames.clear()
        self._actions.clear()
        self._frames.append(np.array(frame))
        self.over = False

    def add(self, action: Any, frame: np.ndarray, over: bool) -> None:
        """A step, and whether it ended the episode."""
        self._actions.append(copy.deepcopy(action))
        self._frames.append(np.array(frame))
        self.over = over


class RecentFrames(gym.Wrapper[np.ndarray, Any, np.ndarray, Any], gym.utils.RecordConstructorArgs):
    """Any environment that observes frames uint8 [H,W,C], unchanged but for a record of the last `length` of them.

    The environments of worldmodel.envs keep such a record themselves. Raises EnvError for other observations.
    """

    def __init__(self, env: gym.Env[np.ndarray, Any], length: int = LENGTH) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, length=length)
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, gym.spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
            raise EnvError(f"RecentFrames needs observations that are frames uint8 [H,W,C], got {space}.")
        if length < 2:
            raise EnvError(f"RecentFrames must keep at least 2 frames, got length={length}.")
        self.frame_record = FrameRecord(length)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's; the record begins anew."""
        frame, info = self.env.reset(seed=seed, options=options)
        self.frame_record.begin(frame)
        return frame, info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """As the environment's; action and frame are recorded."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        self.frame_record.add(action, frame, bool(terminated or truncated))
        return frame, reward, terminated, truncated, info


def recent_past(env: Any) -> tuple[FrameRecord, gym.Space[Any]]:
    """The outermost record in `env` and its wrappers, and the space of the actions in it.

    Raises EnvError, saying what to do, for what is no single environment, keeps no record, was never reset, or whose
    episode is over.
    """
    layer, over = env, False
    while not isinstance(record := getattr(layer, "frame_record", None), FrameRecord):
        if not isinstance(layer, gym.Env):
            what = type(env).__name__
            raise EnvError(
                f"The live environment is of type {what}: give a Gymnasium Env, or a list of one each."
            )
        if not isinstance(layer, gym.Wrapper):
            raise EnvError(
                f"The live environment {_name(env)} keeps no record of its recent frames: {_WRAP}."
            )
        over |= _is_out_of_time(layer)
        layer = layer.env
    if not record.frames:
        raise EnvError(
            f"The live environment {_name(env)} was not reset, or does not observe frames: reset it, or {_WRAP}."
        )
    if over or record.over:
        raise EnvError(f"The episode of the live environment {_name(env)} is over: reset it first.")
    return record, layer.action_space


def _is_out_of_time(layer: Any) -> bool:
    """Whether it is a time limit that has been reached, of which what lies inside it knows nothing."""
    steps: Any = getattr(layer, "_elapsed_steps", None) if isinstance(layer, TimeLimit) else None
    return steps is not None and steps >= layer._max_episode_steps


def _name(env: gym.Env[Any, Any]) -> str:
    return type(env.unwrapped).__name__
