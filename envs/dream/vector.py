"""N dreams as a Gymnasium VectorEnv: every step is one batched forward pass."""

# N dreams, C H W frame, F features, D size of an encoded action

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from worldmodel.envs.dream import arguments
from worldmodel.envs.dream.actions import branch_actions
from worldmodel.envs.dream.futures import DreamFutures, fan_out
from worldmodel.envs.dream.snapshot import DreamSnapshot, fingerprint
from worldmodel.envs.dream.start import DreamStart
from worldmodel.errors import WorldModelError, quoted
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import TERMINATIONS, Dreams, DreamStep, Ending
from worldmodel.model.world_model import WorldModel

OBS_TYPES = ("frames", "features", "both")
RENDER_MODES = ["rgb_array"]
_ENDED = "Some dreams have ended: reset them with options={'reset_mask': ...} before step()."


@dataclass(frozen=True)
class TensorStep:
    """One step of N dreams as tensors on the model's device.

    observation: what to act on next, of a dream that ended already the next one's first; final: what the transition led
    to, which differs only where a dream ended. Both float [N,2C,H,W] in [-1,1], a frame and the one before it, or with
    obs_type="features" [N,F]. reward, termination_probability, uncertainty: float32 [N]; terminated, truncated: bool
    [N].
    """

    observation: Tensor
    final: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    termination_probability: Tensor
    uncertainty: Tensor


class DreamVectorEnv(VectorEnv):
    """N dreams of one world model as a Gymnasium VectorEnv: every step is ONE batched forward pass.

    checkpoint: folder of a checkpoint or training run, name of a shipped world, or a loaded WorldModel;
    num_inference_steps: denoising passes a step (None: the checkpoint's default); max_episode_steps: None takes the
    real environment's, -1 is no limit; device: torch device (None: cpu, or where a loaded model is: another one is
    refused); precision: "float32" or "bfloat16" (None: bfloat16 on a GPU that has it, else float32; a CPU that has it
    gains from about 8 dreams on); truncate_on_uncertainty: expected error in grey levels above which a dream is
    truncated (None: never; the checkpoint must be calibrated for this number of passes); termination: "sample" draws
    each end with its probability, by the dream's own seed and step; "threshold" ends a dream above one half; "ignore"
    never does.
    obs_type "frames": uint8 [N,H,W,C]; "features": the trunk's, float32 [N,F]; "both": a Dict of the two. Actions are
    batched as the real environment's space. Info, each [N] with its mask `_key`, the same keys at reset and step:
    `context` (index of the start context, -1 for the caller's own start), `step`, `uncertainty` (float32: the frame's
    expected root mean square error in grey levels; NaN at a start, infinite where the checkpoint is not calibrated for
    this number of passes), `termination_probability` (float32, of the step to this frame; NaN at a start),
    `truncated_by` (a number of TruncatedBy). Dream i depends on its own seed alone, not on its neighbours.
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
        obs_type: str = "frames",
        truncate_on_uncertainty: float | None = None,
        termination: str = "sample",
    ) -> None:
        if render_mode not in (None, *RENDER_MODES):
            raise WorldModelError(f"render_mode is {quoted(render_mode)}; a dream is drawn as 'rgb_array'.")
        self.num_envs = num_envs = arguments.count("num_envs", num_envs)
        self.autoreset_mode = arguments.autoreset(autoreset_mode)
        self.obs_type = arguments.one_of("obs_type", obs_type, OBS_TYPES)
        self.render_mode = render_mode
        model = arguments.world_model(checkpoint, device, precision)
        world = model.world
        passes = model.num_inference_steps if num_inference_steps is None else num_inference_steps
        self.num_inference_steps = arguments.count("num_inference_steps", passes)
        self.max_episode_steps = arguments.time_limit(max_episode_steps, world.max_episode_steps)
        self.truncate_on_uncertainty = arguments.uncertainty_limit(
            truncate_on_uncertainty, model, self.num_inference_steps
        )
        self.termination = arguments.one_of("termination", termination, TERMINATIONS)
        self.metadata = {
            "render_modes": RENDER_MODES,
            # gymnasium.utils.play takes none but an int
            "render_fps": int(world.fps) if float(world.fps).is_integer() else world.fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = _space(self.obs_type, model)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = copy.deepcopy(world.action_space)  # whose random stream is its own
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.reward_range = world.reward_range
        self.codec = world.codec
        self._ending = Ending(self.termination, self.max_episode_steps, self.truncate_on_uncertainty)
        self._start = DreamStart(
            model,
            self.num_inference_steps,
            self._ending,
            single_frames=self.truncate_on_uncertainty is None and not self._shows_features,
        )
        self._first_seeds = np.random.SeedSequence().generate_state(num_envs, np.uint64).tolist()
        self._ended = np.zeros(num_envs, bool)  # and not begun anew since
        self._model: WorldModel | None = model
        self._dreams: Dreams | None = None
        self._fingerprint: str | None = None

    @property
    def model(self) -> WorldModel:
        """The model that dreams; a closed environment has let go of it."""
        self._require_open()
        assert self._model is not None
        return self._model

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # as SyncVectorEnv's
        """The seed of each dream's stream, its own choice where it was given none: reset(seed=list(...)) brings back
        the first episode of each."""
        return tuple(self._first_seeds if self._dreams is None else self._dreams.episodes.seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start every dream (or those in options["reset_mask"]) from a real context drawn by its seed.

        options: {"frames": uint8 [n,H,W,C] (or [N,n,H,W,C]), "actions": the n-1 actions between them} starts from the
        caller's own frames; {"env": live} goes on from where a real environment is (or a list of N of them; see
        worldmodel.envs.recent_frames); {"context": index} from one of the checkpoint's; {"reset_mask": bool [N]}.
        """
        mask = self._reset(seed, options)
        return self._packed(self._parts()), self._info(mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagine one step of every dream: (observations, rewards, terminations, truncations, infos).

        Raises WorldModelError for an action that is not one of the space, and leaves every dream as it was.
        """
        return self.step_stored(self.codec.store_many(actions, self.num_envs))

    def step_stored(
        self, stored: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """`step` with actions as ActionCodec stores them, [N, *stored_shape]."""
        restart = self._ended.copy()
        step = self._advance(torch.from_numpy(self.codec.encode(stored)))
        figures = torch.stack([step.reward, step.terminated.float(), step.truncated.float()]).cpu().numpy()
        rewards, (terminated, truncated) = figures[0].astype(np.float64), figures[1:].astype(bool)
        if restart.any():  # NEXT_STEP: this step only begins these dreams anew
            self._restart(restart)
            rewards[restart], terminated[restart], truncated[restart] = 0.0, False, False
        parts, info = self._parts(), self._info()
        self._ended = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._ended.any():
            parts, info = self._restarted(parts, info)
        return self._packed(parts), rewards, terminated, truncated, info

    def reset_tensors(self, seed: int | Sequence[int | None] | None = None) -> Tensor:
        """`reset` of every dream; the first observation, as TensorStep's."""
        self._reset(seed, None)
        return self._tensors()

    def step_tensors(self, action: Tensor) -> TensorStep:
        """`step` without leaving the model's device, under encoded actions float32 [N,D]; needs SAME_STEP."""
        if self.autoreset_mode != AutoresetMode.SAME_STEP:
            raise WorldModelError(
                "step_tensors() begins ended dreams anew at once: use autoreset_mode SameStep."
            )
        step = self._advance(action)
        observation = final = self._tensors()
        ended = step.ended.cpu().numpy()
        if ended.any():
            self._restart(ended)
            observation = self._tensors()
        return TensorStep(
            observation,
            final,
            step.reward,
            step.terminated,
            step.truncated,
            step.termination_probability,
            step.uncertainty,
        )

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The current frames, one uint8 [H,W,C] per dream; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(_frames(self._running("render")))

    def get_state(self) -> DreamSnapshot:
        """All dreams at this moment: from it, the same actions bring the same frames, rewards and automatic resets."""
        dreams = self._running("get_state")
        copies = dreams.select(torch.arange(self.num_envs))
        return DreamSnapshot(copies.state, copies.episodes, self._fits())

    def set_state(self, snapshot: DreamSnapshot) -> tuple[Any, dict[str, Any]]:
        """Go on from a snapshot of N dreams of this world; it need not be reset first. Returns (observations, infos).

        Raises WorldModelError for a snapshot of another world or of another number of dreams (see select), and leaves
        every dream as it was.
        """
        moved = _snapshot(snapshot).moved_to(self.model, self._fits())
        if len(moved) != self.num_envs:
            raise WorldModelError(
                f"The snapshot holds {len(moved)} dreams and the environment {self.num_envs}: select as many."
            )
        if self.autoreset_mode == AutoresetMode.SAME_STEP and bool(moved.episodes.ended.any()):
            raise WorldModelError(
                "The snapshot holds dreams that have ended, which with autoreset_mode SameStep are begun anew at once: "
                "take it before the end, or make the environment with another mode."
            )
        self._require_known(moved)
        if self._shows_features and bool(torch.isnan(moved.state.features).any()):
            raise WorldModelError(
                "The snapshot holds a start from a single frame, which has no features: make one step before it."
            )
        self._dreams = self._dreams_at(moved, self.num_inference_steps).select(torch.arange(self.num_envs))
        self._ended = moved.episodes.ended.cpu().numpy().copy()
        return self._packed(self._parts()), self._info()

    def branch(
        self,
        states: DreamSnapshot,
        action_sequences: Any,
        seeds: int | Sequence[int | None] | None = None,
        num_inference_steps: int | None = None,
    ) -> DreamFutures:
        """What would come of K sequences of h actions, in one batched rollout; the dreams of this environment stay.

        states: a snapshot of one dream, from which all K futures start, or of K, one for each. action_sequences:
        actions of the single action space with dimensions [K,h] in front (those of a Dict or Tuple space also as K
        lists of h actions, or stored flat). seeds: None leaves each future the chance that its state holds, so that
        futures of one state differ by their actions alone; else as reset's.
        """
        passes = self.num_inference_steps if num_inference_steps is None else num_inference_steps
        passes = arguments.count("num_inference_steps", passes)
        moved = _snapshot(states).moved_to(self.model, self._fits())
        self._require_known(moved)
        stored = branch_actions(self.codec, action_sequences)
        given = arguments.seeds_given(seeds, len(stored))
        dreams = fan_out(self._dreams_at(moved, passes), len(stored), given)
        rollout = dreams.rollout(torch.from_numpy(self.codec.encode(stored)).to(self.model.device))
        return DreamFutures.of(rollout, dreams, self._fits())

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the dreams' memory and of the model; a model that was given stays its owner's."""
        self._dreams = self._model = None
        del self._start

    @property
    def _shows_features(self) -> bool:
        return self.obs_type != "frames"

    def _dreams_at(self, moved: DreamSnapshot, passes: int) -> Dreams:
        return Dreams(self.model, moved.state, passes, self._ending, moved.episodes)

    def _running(self, call: str) -> Dreams:
        self._require_open()
        if self._dreams is None:
            raise WorldModelError(f"Call reset() before {call}().")
        return self._dreams

    def _require_open(self) -> None:
        if self._model is None:
            raise WorldModelError("The environment is closed: make a new one.")

    def _require_known(self, moved: DreamSnapshot) -> None:
        """As reset does: of a dream that began from a single frame no expected error can be told, ever."""
        unknown = torch.isnan(moved.state.evidence.residual)
        if self.truncate_on_uncertainty is not None and bool(unknown.any()):
            raise WorldModelError(
                "The snapshot holds a dream that began from a single frame, whose expected error is not known: take it "
                "from a start of at least two, or make the environment without truncate_on_uncertainty."
            )

    def _fits(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    def _advance(self, action: Tensor) -> DreamStep:
        dreams = self._running("step")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            raise WorldModelError(_ENDED if self.num_envs > 1 else "The dream has ended: call reset().")
        return dreams.step(action)

    def _reset(
        self, seed: int | Sequence[int | None] | None, options: Mapping[str, Any] | None
    ) -> np.ndarray:
        """Begin dreams; a seeded one counts its episodes anew. Returns which, bool [N]. Nothing changes when this
        raises."""
        self._require_open()
        left = arguments.reset_options(options)
        mask = arguments.reset_mask(left.pop("reset_mask", None), self.num_envs)
        if self._dreams is None and not mask.all():
            raise WorldModelError(
                "The first reset must start every dream: call reset() without reset_mask first."
            )
        given, seeds = arguments.seeds_given(seed, self.num_envs), self.np_random_seed
        begun = [0] * self.num_envs if self._dreams is None else self._dreams.episodes.begun.tolist()
        streams = [
            (seeds[i], begun[i]) if (own := given[i]) is None else (own, 0) for i in np.flatnonzero(mask)
        ]
        fresh = self._start.begin(streams, left)
        if self._dreams is None:
            self._dreams = fresh
        else:
            self._dreams.assign(torch.from_numpy(np.flatnonzero(mask)).to(self.model.device), fresh)
        self._ended = self._ended & ~mask
        return mask

    def _restart(self, ended: np.ndarray) -> None:
        self._running("step").restart(np.flatnonzero(ended))

    def _restarted(
        self, parts: dict[str, np.ndarray], info: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """SAME_STEP: begin the ended dreams anew, and hand out their last observations as final_obs."""
        ended, final_obs = self._ended, np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended):
            final_obs[index] = self._packed({name: part[index].copy() for name, part in parts.items()})
        self._restart(ended)
        self._ended = np.zeros_like(ended)
        masks = {key: ended.copy() for key in info if key.startswith("_")}
        final: dict[str, Any] = {"final_obs": final_obs, "_final_obs": ended.copy()}
        final |= {"final_info": {**info, **masks}, "_final_info": ended}
        return self._parts(), {**self._info(), **final}

    def _parts(self) -> dict[str, np.ndarray]:
        """What is observed of all dreams: frames uint8 [N,H,W,C], features float32 [N,F]."""
        dreams, parts = self._running("step"), {}
        if self.obs_type != "features":
            parts["frames"] = _frames(dreams)
        if self._shows_features:
            parts["features"] = dreams.state.features.float().cpu().numpy().copy()
        return parts

    def _packed(self, parts: dict[str, np.ndarray]) -> Any:
        """As the space has them."""
        return parts if self.obs_type == "both" else parts[self.obs_type]

    def _tensors(self) -> Tensor:
        """A TensorStep's observation, copied."""
        state = self._running("step").state
        if self.obs_type == "features":
            return state.features.float().clone()
        return torch.cat([state.last, state.previous], dim=1)

    def _info(self, told: np.ndarray | None = None) -> dict[str, Any]:
        """The values of every dream, and with each its mask: the dreams that this call began or stepped."""
        episodes = self._running("step").episodes
        tensors = {
            "context": episodes.context,
            "step": episodes.step,
            "uncertainty": episodes.uncertainty,
            "termination_probability": episodes.termination_probability,
            "truncated_by": episodes.reason,
        }
        values = {key: tensor.cpu().numpy().copy() for key, tensor in tensors.items()}
        told = np.ones(self.num_envs, bool) if told is None else told
        return {**values, **{f"_{key}": told.copy() for key in values}}


def _frames(dreams: Dreams) -> np.ndarray:
    return float_to_frames(dreams.state.last).cpu().numpy()


def _space(obs_type: str, model: WorldModel) -> gym.Space[Any]:
    """Frames, uint8 [H,W,C]; features, float32 [F]: what the trunk made of the step to the frame (the input of the
    reward and termination heads), unbounded; or a Dict of the two."""
    frames = gym.spaces.Box(0, 255, model.world.frame_shape, np.uint8)
    if obs_type == "frames":
        return frames
    features = gym.spaces.Box(-np.inf, np.inf, (model.network.config.features,), np.float32)
    return features if obs_type == "features" else gym.spaces.Dict({"frames": frames, "features": features})


def _snapshot(given: Any) -> DreamSnapshot:
    if not isinstance(given, DreamSnapshot):
        raise WorldModelError(
            f"The snapshot is of type {type(given).__name__}: give a DreamSnapshot, as get_state() returns it."
        )
    return given
