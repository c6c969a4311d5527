"""A dream that is the simulator itself, found again by the picture it starts from; and how to spoil it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.frames import frames_to_float
from worldmodel.model.state import Imagination, Transition

Spoil = Callable[[np.ndarray, int], np.ndarray]


@dataclass
class OracleState:
    """states: of the simulator, one for each dream; step: how many were dreamt."""

    states: list[np.ndarray]
    step: int = 0

    def __len__(self) -> int:
        return len(self.states)

    def select(self, index: torch.Tensor) -> "OracleState":
        return OracleState([self.states[i].copy() for i in index.tolist()], self.step)


class OracleDream:
    """Stands for a WorldModel of an environment with get_state and set_state.

    chance: each dream has a stream of chance of its own, else all have the recorded one; spoil: changes the frame
    [H,W,C] of a step (from 1).
    """

    def __init__(
        self,
        dataset: EpisodeDataset,
        num_context_frames: int = 3,
        window: int = 16,
        chance: bool = False,
        spoil: Spoil | None = None,
    ) -> None:
        self._dataset, self._env = dataset, dataset.env.make()
        self._env.reset(seed=0)
        self._chance, self._spoil = chance, spoil or (lambda frame, _: frame)
        self._moments = {
            frame.tobytes(): (number, step)
            for number in dataset.split("heldout").tolist()
            for step, frame in enumerate(dataset.episode_frames(number))
        }
        self.device = torch.device("cpu")
        self.network = SimpleNamespace(config=SimpleNamespace(window=window, depth=1))
        self.world = SimpleNamespace(
            codec=dataset.codec,
            num_context_frames=num_context_frames,
            action_space=dataset.action_space,
            frame_shape=dataset.frame_shape,
            env=dataset.env,
            fps=dataset.fps,
        )

    def begin(self, frames: torch.Tensor, actions: torch.Tensor, seeds: torch.Tensor) -> OracleState:
        states = []
        for frame, seed in zip(frames[:, -1].numpy(), seeds.tolist(), strict=True):
            number, step = self._moments[frame.tobytes()]
            state = self._dataset.episode(number).infos["state"][step]
            if self._chance:
                self._env.get_wrapper_attr("set_state")(state)
                self._env.get_wrapper_attr("reseed")(10_000 + seed)
                state = self._env.get_wrapper_attr("get_state")()
            states.append(state)
        return OracleState(states)

    def step(self, state: OracleState, action: torch.Tensor, passes: int | None = None) -> Transition:
        frames, reward, ended = self._step(state, action.numpy())
        unknown = torch.full(reward.shape, torch.nan)
        return Transition(frames_to_float(frames), reward, ended, unknown, unknown[:, None], ended.bool())

    def imagine(self, state: OracleState, actions: torch.Tensor, passes: int | None = None) -> Imagination:
        steps = [self._step(state, action.numpy()) for action in actions.unbind(1)]
        frames, rewards, ended = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
        return Imagination(frames, rewards, ended, torch.full(rewards.shape, torch.nan), ended.bool())

    def _step(
        self, state: OracleState, actions: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        state.step += 1
        seen = []
        for i, stored in enumerate(self._dataset.codec.decode(actions)):
            self._env.get_wrapper_attr("set_state")(state.states[i])
            frame, reward, ended, _, _ = self._env.unwrapped.step(self._dataset.codec.restore(stored))
            state.states[i] = self._env.get_wrapper_attr("get_state")()
            seen.append((self._spoil(frame, state.step), float(reward), float(ended)))
        frames, rewards, ends = zip(*seen, strict=True)
        return torch.from_numpy(np.stack(frames)), torch.tensor(rewards), torch.tensor(ends)
