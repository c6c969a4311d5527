"""N dreams as a Gymnasium VectorEnv: every step is one batched forward pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldmodel.envs import dream_arguments as arguments
from worldmodel.envs.dream_actions import branch_actions
from worldmodel.envs.dream_branch import DreamFutures, Horizon, branch
from worldmodel.envs.dream_episodes import Episodes
from worldmodel.envs.dream_observation import OBS_TYPES, DreamObservation, lacks_features
from worldmodel.envs.dream_snapshot import DreamSnapshot, fingerprint
from worldmodel.envs.dream_start import DreamStart
from worldmodel.errors import WorldModelError, quoted
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
    gains from about 8 dreams on); truncate_on_uncertainty: expected error in grey levels above which a dream is
    truncated (None: never; the checkpoint must be calibrated for this number of passes).
    obs_type "frames": uint8 [N,H,W,C]; "features": the trunk's, float32 [N,F]; "both": a Dict of the two. Actions are
    batched as the real environment's space. Info, each [N] with its mask `_key`, the same keys at reset and step:
    `context` (index of the start context, -1 for the caller's own start), `step`, `uncertainty` (float32: the frame's
    expected root mean square error in grey levels; NaN at a start, infinite where the checkpoint is not calibrated for
    this number of passes), `truncated_by` (a number of TruncatedBy). Dream i depends on its own seed alone, not on its
    neighbours.
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
        self.metadata = {
            "render_modes": RENDER_MODES,
            # gymnasium.utils.play takes none but an int
            "render_fps": int(world.fps) if float(world.fps).is_integer() else world.fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self._observation = DreamObservation(
            self.obs_type, world.frame_shape, model.network.config.features, num_envs
        )
        self.single_observation_space = self._observation.single_space
        self.observation_space = self._observation.space
        self.single_action_space = copy.deepcopy(world.action_space)  # whose random stream is its own
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.reward_range = world.reward_range
        self.codec = world.codec
        self._start = DreamStart(
            model, single_frames=self.truncate_on_uncertainty is None and not self._observation.shows_features
        )
        self._unseeded: list[int | None] = [None] * num_envs
        self._episodes = Episodes.none(np.random.SeedSequence().generate_state(num_envs, np.uint64).tolist())
        self._model: WorldModel | None = model
        self._state: DreamState | None = None
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
        return tuple(self._episodes.seed.tolist())

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
        self._require_open()
        options = arguments.reset_options(options)
        mask = arguments.reset_mask(options.pop("reset_mask", None), self.num_envs)
        if self._state is None and not mask.all():
            raise WorldModelError(
                "The first reset must start every dream: call reset() without reset_mask first."
            )
        self._begin(np.flatnonzero(mask), options, arguments.seeds_given(seed, self.num_envs))
        return self._observation.batch(), self._info(mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagine one step of every dream: (observations, rewards, terminations, truncations, infos).

        Raises WorldModelError for an action that is not one of the space, and leaves every dream as it was.
        """
        return self.step_stored(self.codec.store_many(actions, self.num_envs))

    def step_stored(
        self, stored: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """`step` with actions as ActionCodec stores them, [N, *stored_shape]."""
        state, episodes = self._running("step"), self._episodes
        if self.autoreset_mode == AutoresetMode.DISABLED and episodes.ended.any():
            raise WorldModelError(_ENDED if self.num_envs > 1 else "The dream has ended: call reset().")
        restart = episodes.ended & (self.autoreset_mode == AutoresetMode.NEXT_STEP)
        transition = self._imagine(state, stored)
        figures = (transition.reward, transition.termination_probability, transition.uncertainty)
        reward, probability, uncertainty = torch.stack(figures).cpu().numpy()  # one wait for the device
        rewards, terminated = reward.astype(np.float64), probability > 0.5
        truncated = episodes.advance(uncertainty, self.max_episode_steps, self.truncate_on_uncertainty)
        self._observation.show(transition.frame, transition.features)
        if restart.any():  # NEXT_STEP: this step only begins these dreams anew
            rewards[restart], terminated[restart], truncated[restart] = 0.0, False, False
            self._begin(np.flatnonzero(restart), {}, self._unseeded)
        info = self._info()
        episodes.ended = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and episodes.ended.any():
            info = self._restart_ended(info)
        return self._observation.batch(), rewards, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The current frames, one uint8 [H,W,C] per dream; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(float_to_frames(self._running("render").last).cpu().numpy())

    def get_state(self) -> DreamSnapshot:
        """All dreams at this moment: from it, the same actions bring the same frames, rewards and automatic resets."""
        state = self._running("get_state")
        everyone = torch.arange(self.num_envs, device=state.time.device)
        return DreamSnapshot(state.select(everyone), self._episodes.select(slice(None)), self._fits())

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
        if self.autoreset_mode == AutoresetMode.SAME_STEP and moved.episodes.ended.any():
            raise WorldModelError(
                "The snapshot holds dreams that have ended, which with autoreset_mode SameStep are begun anew at once: "
                "take it before the end, or make the environment with another mode."
            )
        self._require_known(moved.state)
        if self._observation.shows_features and lacks_features(moved.state.features):
            raise WorldModelError(
                "The snapshot holds a start from a single frame, which has no features: make one step before it."
            )
        everyone = np.arange(self.num_envs)
        self._state = moved.state.select(torch.from_numpy(everyone).to(self.model.device))
        self._episodes = moved.episodes.select(everyone)
        self._observation.show_at(everyone, self._state)
        return self._observation.batch(), self._info()

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
        self._require_known(moved.state)
        stored = branch_actions(self.codec, action_sequences)
        given = arguments.seeds_given(seeds, len(stored))
        horizon = Horizon(self.max_episode_steps, self.truncate_on_uncertainty)
        return branch(self.model, moved, stored, given, passes, horizon)

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the dreams' memory and of the model; a model that was given stays its owner's."""
        self._state = self._model = None
        del self._start

    def _running(self, call: str) -> DreamState:
        self._require_open()
        if self._state is None:
            raise WorldModelError(f"Call reset() before {call}().")
        return self._state

    def _require_open(self) -> None:
        if self._model is None:
            raise WorldModelError("The environment is closed: make a new one.")

    def _require_known(self, state: DreamState) -> None:
        """As reset does: of a dream that began from a single frame no expected error can be told, ever."""
        if self.truncate_on_uncertainty is not None and bool(torch.isnan(state.evidence.residual).any()):
            raise WorldModelError(
                "The snapshot holds a dream that began from a single frame, whose expected error is not known: take it "
                "from a start of at least two, or make the environment without truncate_on_uncertainty."
            )

    def _fits(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    def _imagine(self, state: DreamState, stored: np.ndarray) -> Transition:
        encoded = torch.from_numpy(self.codec.encode(stored))
        return self.model.step(state, encoded, self.num_inference_steps)

    def _begin(self, index: np.ndarray, options: dict[str, Any], given: list[int | None]) -> None:
        """Begin the dreams at `index`; a seeded one counts its episodes anew. Nothing changes when this raises."""
        seeds, begun = self._episodes.seed.tolist(), self._episodes.begun.tolist()
        streams = [(seeds[i], begun[i]) if (seed := given[i]) is None else (seed, 0) for i in index.tolist()]
        keys = [arguments.seed_sequence(seed, episode) for seed, episode in streams]
        state, contexts = self._start.begin(keys, options)
        self._observation.show_at(index, state)
        self._episodes.begin(index, streams, contexts)
        if self._state is None:
            self._state = state
        else:
            self._state.assign(torch.from_numpy(index).to(self.model.device), state)

    def _restart_ended(self, info: dict[str, Any]) -> dict[str, Any]:
        """SAME_STEP: hand out the last observations as final_obs, then begin the ended dreams anew."""
        ended = self._episodes.ended.copy()
        final_obs = np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended):
            final_obs[index] = self._observation.one(int(index))
        self._begin(np.flatnonzero(ended), {}, self._unseeded)
        masks = {key: ended.copy() for key in info if key.startswith("_")}
        return {
            **self._info(),
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": {**info, **masks},
            "_final_info": ended,
        }

    def _info(self, told: np.ndarray | None = None) -> dict[str, Any]:
        """The values of every dream, and with each its mask: the dreams that this call began or stepped."""
        values = self._episodes.info()
        told = np.ones(self.num_envs, bool) if told is None else told
        return {**values, **{f"_{key}": told.copy() for key in values}}


def _snapshot(given: Any) -> DreamSnapshot:
    if not isinstance(given, DreamSnapshot):
        raise WorldModelError(
            f"The snapshot is of type {type(given).__name__}: give a DreamSnapshot, as get_state() returns it."
        )
    return given
