"""worldmodel/State-v0: what a simulator knows of an environment as one vector, without drawing a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from worldmodel.envs.scenes.scene import MujocoScene
from worldmodel.errors import EnvError


class StateEnv(gym.Wrapper[np.ndarray, Any, Any, Any]):
    """Observations float32 [n]; one step is `action_repeat` inner steps with the same action, whose rewards add up.

    Of our own scenes: qpos, qvel and the episode's constants, where joints that turn without a limit show the cosine
    and sine of their angle. Of any other environment: its own vector. The same seed begins the same episode as in
    worldmodel/Pixels-v0; info is empty. `max_episode_steps` is the time limit in steps of this env, None without one.
    """

    def __init__(self, env: gym.Env[Any, Any], action_repeat: int) -> None:
        super().__init__(env)
        self._repeat = action_repeat
        self._turning = _turning_joints(env.unwrapped)
        space = env.observation_space
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
            raise EnvError(
                f"{name} observes {space}, which is no state: choose an id that observes a vector."
            )
        count = space.shape[0] + len(self._turning)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (count,), np.float32)
        limit = env.spec.max_episode_steps if env.spec is not None else None
        limit = limit or getattr(env.unwrapped, "max_episode_steps", None)  # some end by themselves
        self.max_episode_steps = -(-limit // action_repeat) if limit else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset the inner env."""
        observation, _ = self.env.reset(seed=seed, options=options)
        return self._vector(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """`action_repeat` inner steps, fewer when the episode ends."""
        total = 0.0
        for _ in range(self._repeat):
            observation, reward, terminated, truncated, _ = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return self._vector(observation), total, terminated, truncated, {}

    def _vector(self, observation: Any) -> np.ndarray:
        state = np.asarray(observation, np.float64)
        angles = state[self._turning]
        parts = (np.delete(state, self._turning), np.cos(angles), np.sin(angles))
        return np.concatenate(parts).astype(np.float32)


def make_state_env(
    env_id: str,
    action_repeat: int = 1,
    env_kwargs: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> StateEnv:
    """Any Gymnasium id that observes a vector, or one of our MuJoCo scenes. Raises EnvError for pictures."""
    if action_repeat < 1 or render_mode is not None:
        raise EnvError(
            f"worldmodel/State-v0 draws nothing, and action_repeat is at least 1: got {render_mode=}, {action_repeat=}."
        )
    spec, kwargs = gym.spec(env_id), dict(env_kwargs or {})
    if isinstance(spec.entry_point, str):
        creator = gym.envs.registration.load_env_creator(spec.entry_point)
        if isinstance(creator, type) and issubclass(creator, MujocoScene):
            kwargs |= {"obs_type": "state", "truth": False}
    return StateEnv(gym.make(env_id, disable_env_checker=True, **kwargs), action_repeat)


def _turning_joints(env: gym.Env[Any, Any]) -> np.ndarray:
    """Where in qpos, which begins our scenes' state, are angles of any number of turns; none of other environments."""
    if not isinstance(env, MujocoScene):
        return np.zeros(0, np.int64)
    free = (env.model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) & (env.model.jnt_limited == 0)
    return env.model.jnt_qposadr[free].astype(np.int64)
