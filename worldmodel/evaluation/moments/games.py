"""Games without a known state: brought back by their own state or by replaying, and read as coarse pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.action_changes import ChangeActions
from worldmodel.evaluation.moments.futures import draw_futures
from worldmodel.evaluation.moments.grounds import ProbeNote
from worldmodel.evaluation.moments.reality import Simulator
from worldmodel.evaluation.moments.rollouts import Contexts, Reading, Rollouts, Source, Truth, Views
from worldmodel.evaluation.moments.state_spec import Feature, StateSpec
from worldmodel.evaluation.pixels.colours import Palette, learn_palette
from worldmodel.progress import progress

GRID = 16  # coarse pixels a side
MIN_BAR = 500
WHY = "{id} tells no MuJoCo state, so there is nothing that its pictures could be compared with."


class CoarsePictures:
    """An instrument without a gate: a picture's coarse pixels as features, and objects by their colours where
    these tell them apart (areas alone)."""

    def __init__(self, frame_shape: tuple[int, ...], palette: Palette | None) -> None:
        self._side = min(GRID, *frame_shape[:2])
        self._palette = palette
        count = self._side**2 * frame_shape[2]
        self.spec = StateSpec(tuple(Feature(f"pixel {i}", "position", "level", "") for i in range(count)), ())
        self.objects = palette.names if palette else ()
        self.version = f"coarse pictures of {self._side} by {self._side}"

    @property
    def trusted_features(self) -> np.ndarray:
        """All of them."""
        return np.ones(len(self.spec), bool)

    @property
    def trusted_objects(self) -> np.ndarray:
        """Those whose colour finds them."""
        return np.asarray(self._palette.trusted) if self._palette else np.zeros(0, bool)

    def read(self, past: np.ndarray, frames: np.ndarray) -> Reading:
        """See Probe; the frames before are not needed."""
        height, width = frames.shape[2:4]
        rows, columns = (np.arange(self._side) * side // self._side for side in (height, width))
        coarse = np.stack(
            [
                np.add.reduceat(np.add.reduceat(future.astype(np.float32), rows, 1), columns, 2)
                for future in frames
            ]
        )
        features = coarse.reshape(*frames.shape[:2], -1) / (
            255 * (height / self._side) * (width / self._side)
        )
        area = np.zeros((*frames.shape[:2], 0))
        if self._palette is not None:
            area = np.stack([self._palette.areas(future) for future in frames]).astype(np.float64)
        nowhere = np.full(area.shape, np.nan)
        return Reading(features.astype(np.float64), Views(area, nowhere, nowhere, nowhere))


@dataclass(frozen=True)
class GameSource:
    """The true game. change: other actions in place of the recorded ones. A context's states row is the number of its
    episode and of its last frame in it."""

    name: str
    dataset: EpisodeDataset
    probe: CoarsePictures
    change: ChangeActions | None = None

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """Raises EnvError when the game does not come back to a context."""
        actions = contexts.actions if self.change is None else self.change(contexts)
        frames = np.empty((len(contexts), contexts.horizon, *contexts.frames.shape[2:]), np.uint8)
        valid = np.zeros(frames.shape[:2], bool)
        count = valid.size
        bar = progress(total=len(contexts), desc=self.name, unit="context", disable=count < MIN_BAR)
        with Simulator(self.dataset) as simulator, bar:
            for i, (number, step) in enumerate(contexts.states.astype(int).tolist()):
                simulator.bring_back(number, step)
                frames[i], valid[i] = simulator.play(actions[i])
                bar.update()
        return Rollouts(self.name, frames, valid, self._truth(contexts, frames))

    def _truth(self, contexts: Contexts, frames: np.ndarray) -> Truth:
        past = contexts.frames[:, -1:]
        read, first = self.probe.read(past, frames), self.probe.read(past, past)
        shape = frames.shape[:2]
        return Truth(
            features=read.features,
            views=read.views,
            unoccluded_area=read.views.area,
            contacts=np.zeros((*shape, 0, 4)),
            energy=np.full((*shape, 2), np.nan),
            first=first.features[:, 0],
            first_views=first.views.apply(lambda values: values[:, 0]),
            first_unoccluded_area=first.views.area[:, 0],
        )


class GameGround:
    """See Ground."""

    def __init__(self, dataset: EpisodeDataset, context_frames: int, seed: int = 0) -> None:
        self.dataset, self._context_frames = dataset, context_frames
        self.why = WHY.format(id=dataset.env.id)
        try:
            palette, self._colours = learn_palette(dataset, seed), ""
        except EnvError as error:
            palette, self._colours = None, str(error)
        self.probe = CoarsePictures(dataset.frame_shape, palette)
        self._simulators: dict[int, Simulator] = {}

    def contexts(self, count: int, horizon: int, seed: int) -> Contexts:
        """See Ground."""
        data, k = self.dataset, self._context_frames
        futures = draw_futures(data, data.split("heldout"), k, horizon, count, seed)
        numbers, starts = futures.episodes.numpy(), futures.starts.numpy()
        last = starts + k - 1
        first = data.first_step[numbers]
        ahead = np.arange(futures.horizon) % (data.lengths[numbers] - last)[:, None]
        return Contexts(
            env=data.env,
            frames=futures.context_frames.numpy(),
            context_actions=data.actions[(first + starts)[:, None] + np.arange(k - 1)],
            actions=data.actions[(first + last)[:, None] + ahead],
            states=np.stack([numbers, last], axis=1).astype(np.float64),
            seeds=data.seeds[numbers],
            options=({},) * count,
            episodes=numbers,
            ids=np.arange(count),
        )

    def simulator(self, name: str, change: ChangeActions | None = None) -> Source:
        """See Ground."""
        return GameSource(name, self.dataset, self.probe, change)

    def wrong(self) -> Source | None:
        """A game has no physics to change."""
        return None

    def restore(self, env: gym.Env[Any, Any], contexts: Contexts, number: int) -> None:
        """See Ground."""
        if id(env) not in self._simulators:
            self._simulators[id(env)] = Simulator(self.dataset, env)
        self._simulators[id(env)].bring_back(*contexts.states[number].astype(int).tolist())

    def bodies(self) -> tuple[str, ...]:
        """None."""
        return ()

    def note(self) -> ProbeNote:
        """See Ground."""
        told = (
            f"Objects were not counted: {self._colours}"
            if self._colours
            else "Objects are counted by their colours."
        )
        return ProbeNote(
            version=self.probe.version,
            features={},
            objects={},
            trusted=[
                n for n, sure in zip(self.probe.objects, self.probe.trusted_objects, strict=True) if sure
            ],
            why=f"{self.why} Answers to actions and spreads are read from {self.probe.version} pixels. {told}",
        )
