"""worldmodel/Dream-v0: a learned world as a Gymnasium environment, N dreams in one batched forward pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldmodel.envs import dream_arguments as arguments
from worldmodel.envs.dream_start import DreamStart
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames
from worldmodel.model.world_model import DreamState, Transition, WorldModel

RENDER_MODES = ["rgb_array"]
_ENDED = "Some dreams have ended: reset them with options={'reset_mask': ...} before step()."


class DreamVectorEnv(VectorEnv):
    """N dreams of one world model as a Gymnasium VectorEnv: every step is ONE batched forward pass.

    checkpoint: folder of a checkpoint or training run, name of a shipped world, or a loaded WorldModel;
    num_inference_steps: denoising passes a step (None: the checkpoint's default); max_episode_steps: None takes the
    real environment's, -1 is no limit; device: torch device (None: cpu, or where a loaded model is: another one is
    refused); precision: "float32" or "bfloat16" (None: bfloat16 on a GPU that has it, else float32; a CPU that has it
    gains from about 8 dreams on).
    Observations uint8 [N,H,W,C]; actions batched as the real environment's space; info: `context` (index of the start
    context, -1 for the caller's own frames), `step`, and, where the checkpoint is calibrated for this number of passes
    (`worldmodel calibrate`), `uncertainty` (float32: the frame's expected root mean square error in grey levels, NaN
    at a start), each [N]. Dream i depends on its own seed alone, not on its neighbours.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        checkpoint: str | Path | WorldModel,
        num_envs: int = 1,
        num_inference_steps: int | None = None,
        max_episode_steps: int | None = None,
        device: str | torch.device | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        precision: str | None = None,
    ) -> None:
        if render_mode not in (None, *RENDER_MODES):
            raise WorldModelError(f"render_mode is {render_mode!r}; a dream is drawn as 'rgb_array'.")
        self.model = arguments.world_model(checkpoint, device, precision)
        world = self.model.world
        self.num_envs = num_envs = arguments.count("num_envs", num_envs)
        passes = self.model.num_inference_steps if num_inference_steps is None else num_inference_steps
        self.num_inference_steps = arguments.count("num_inference_steps", passes)
        self.max_episode_steps = arguments.time_limit(max_episode_steps, world.max_episode_steps)
        self.render_mode = render_mode
        self.autoreset_mode = arguments.autoreset(autoreset_mode)
        self.metadata = {
            "render_modes": RENDER_MODES,
            "render_fps": world.fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = gym.spaces.Box(0, 255, world.frame_shape, np.uint8)
        self.single_action_space = copy.deepcopy(world.action_space)  # whose random stream is its own
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.reward_range = world.reward_range
        self.codec = world.codec
        self._start = DreamStart(self.model)
        self._unseeded: list[int | None] = [None] * num_envs
        self._seeds: list[int] = np.random.SeedSequence().generate_state(num_envs, np.uint64).tolist()
        self._episodes = np.zeros(num_envs, np.int64)
        self._contexts = np.full(num_envs, -1, np.int64)
        self._steps = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)
        self._state: DreamState | None = None
        self._frames = np.zeros((num_envs, *world.frame_shape), np.uint8)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start every dream (or those in options["reset_mask"]) from a real context drawn by its seed.

        options: {"frames": uint8 [n,H,W,C] (or [N,n,H,W,C]), "actions": the n-1 actions between them} starts from the
        caller's own frames; {"context": index} from one of the checkpoint's; {"reset_mask": bool [N]}.
        """
        options = arguments.reset_options(options)
        mask = arguments.reset_mask(options.pop("reset_mask", None), self.num_envs)
        if self._state is None and not mask.all():
            raise WorldModelError(
                "The first reset must start every dream: call reset() without reset_mask first."
            )
        self._begin(np.flatnonzero(mask), options, arguments.seeds_given(seed, self.num_envs))
        return self._frames.copy(), self._info(np.full(self.num_envs, np.nan, np.float32), mask)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagine one step of every dream: (observations, rewards, terminations, truncations, infos).

        Raises WorldModelError for an action that is not one of the space, and leaves every dream as it was.
        """
        return self.step_stored(self.codec.store_many(actions, self.num_envs))

    def step_stored(
        self, stored: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """`step` with actions as ActionCodec stores them, [N, *stored_shape]."""
        if self._state is None:
            raise WorldModelError("Call reset() before step().")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            raise WorldModelError(_ENDED if self.num_envs > 1 else "The dream has ended: call reset().")
        restart = self._ended & (self.autoreset_mode == AutoresetMode.NEXT_STEP)
        transition = self._imagine(self._state, stored)
        rewards = transition.reward.cpu().double().numpy()  # MPS has no float64
        terminated = (transition.termination_probability > 0.5).cpu().numpy()
        self._steps += 1
        truncated = np.full(self.num_envs, False)
        if self.max_episode_steps is not None:
            truncated = self._steps >= self.max_episode_steps
        self._frames = float_to_frames(transition.frame).cpu().numpy()
        uncertainty = transition.uncertainty.cpu().numpy()
        if restart.any():  # NEXT_STEP: this step only begins these dreams anew
            rewards[restart], terminated[restart], truncated[restart] = 0.0, False, False
            self._begin(np.flatnonzero(restart), {}, self._unseeded)
            uncertainty = np.where(restart, np.nan, uncertainty)
        info = self._info(uncertainty)
        self._ended = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._ended.any():
            info = self._restart_ended(info, uncertainty)
        return self._frames.copy(), rewards, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The current frames, one uint8 [H,W,C] per dream."""
        return tuple(self._frames.copy()) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the dreams' memory."""
        self._state = None

    def _imagine(self, state: DreamState, stored: np.ndarray) -> Transition:
        encoded = torch.from_numpy(self.codec.encode(stored))
        return self.model.step(state, encoded, self.num_inference_steps)

    def _begin(self, index: np.ndarray, options: dict[str, Any], given: list[int | None]) -> None:
        """Begin the dreams at `index`; a seeded one counts its episodes anew. Nothing changes when this raises."""
        streams = [
            (self._seeds[i], int(self._episodes[i])) if (seed := given[i]) is None else (seed, 0)
            for i in index.tolist()
        ]
        keys = [arguments.seed_sequence(seed, episode) for seed, episode in streams]
        state, frames, contexts = self._start.begin(keys, options)
        for i, (seed, episode) in zip(index.tolist(), streams, strict=True):
            self._seeds[i], self._episodes[i] = seed, episode + 1
        if self._state is None:
            self._state = state
        else:
            self._state.assign(torch.from_numpy(index).to(self.model.device), state)
        self._frames[index] = frames
        self._contexts[index] = contexts
        self._steps[index] = 0
        self._ended[index] = False

    def _restart_ended(self, info: dict[str, Any], uncertainty: np.ndarray) -> dict[str, Any]:
        """SAME_STEP: hand out the last frames as final_obs, then begin the ended dreams anew."""
        ended = self._ended.copy()
        final_obs = np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended):
            final_obs[index] = self._frames[index].copy()
        self._begin(np.flatnonzero(ended), {}, self._unseeded)
        masks = {key: ended.copy() for key in info if key.startswith("_")}
        return {
            **self._info(np.where(ended, np.nan, uncertainty)),
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": {**info, **masks},
            "_final_info": ended,
        }

    def _info(self, uncertainty: np.ndarray, told: np.ndarray | None = None) -> dict[str, Any]:
        """The values of every dream, and with each its mask: the dreams that this call began or stepped."""
        values = {"context": self._contexts.copy(), "step": self._steps.copy()}
        if self.model.is_calibrated(self.num_inference_steps):
            values["uncertainty"] = uncertainty.astype(np.float32)
        told = np.ones(self.num_envs, bool) if told is None else told
        return {**values, **{f"_{key}": told.copy() for key in values}}


class DreamEnv(gym.Env):
    """One dream: the vector environment of size one behind Gymnasium's Env face. Arguments as DreamVectorEnv's.

    gym.make keeps max_episode_steps for its own TimeLimit, which can only shorten a dream, and tells it to nobody: to
    make a dream longer give gym.make `time_limit`, which is max_episode_steps under a name that gym.make passes on.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self, checkpoint: str | Path | WorldModel, time_limit: int | None = None, **kwargs: Any
    ) -> None:
        if time_limit is not None:
            kwargs["max_episode_steps"] = time_limit
        self.vector = DreamVectorEnv(checkpoint, num_envs=1, autoreset_mode=AutoresetMode.DISABLED, **kwargs)
        self.metadata = {key: value for key, value in self.vector.metadata.items() if key != "autoreset_mode"}
        self.render_mode = self.vector.render_mode
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.reward_range = self.vector.reward_range

    @property
    def max_episode_steps(self) -> int | None:
        """Steps after which a dream is truncated, as in the real environment."""
        return self.vector.max_episode_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a dream; options as DreamVectorEnv.reset."""
        seed = None if seed is None else arguments.one_seed(seed)
        frames, info = self.vector.reset(seed=seed, options=options)
        super().reset(seed=seed)
        return frames[0], _first(info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Imagine one step under `action`. Raises WorldModelError when the action is not one of the space."""
        stored = self.vector.codec.store(action)
        frames, rewards, terminated, truncated, info = self.vector.step_stored(stored[None])
        return frames[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> np.ndarray | None:
        """The current frame, uint8 [H,W,C]."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        self.vector.close()


def _first(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[0] for key, values in info.items() if not key.startswith("_")}
