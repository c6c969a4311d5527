"""A drive as a file to download: video, GIF, or a Minari dataset of the dream or of the simulator."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.exchange.minari_export import export_minari
from worldmodel.data.saving import describe_episodes
from worldmodel.episode import Episode
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_write_bytes
from worldmodel.frames import as_colours
from worldmodel.model.world import WorldSpec
from worldmodel.play.future import Moment
from worldmodel.report.panels import difference, grid
from worldmodel.report.video import encode_gif, encode_mp4

PANEL = 256  # pixels
# Frames up to which panels are as large, and half so: the whole video is in memory at once.
SHARP, COARSE = 300, 1200
ENDINGS = {"mp4": ".mp4", "gif": ".gif", "minari": ".zip", "minari-real": "-real.zip"}


@dataclass(frozen=True)
class Drive:
    """Moments in a row to write to a file, the first of them the start; name: of the world; seed: of the start."""

    world: WorldSpec
    name: str
    moments: Sequence[Moment]
    seed: int

    def write(self, folder: Path, format: str) -> Path:
        """A file of this format in `folder`. Raises WorldModelError where there is nothing, or no ffmpeg or Minari."""
        if len(self.moments) < 2:
            raise WorldModelError("There is nothing to save yet: drive a few steps first.")
        path = folder / f"{self.name}{ENDINGS[format]}"
        if format in ("minari", "minari-real"):
            self._write_minari(path, real=format == "minari-real")
            return path
        encoded = encode_mp4 if format == "mp4" else encode_gif
        data = encoded(self._video(), self.world.fps)
        if data is None:
            raise WorldModelError(
                "No ffmpeg is here to write mp4: save a GIF, or pip install imageio-ffmpeg."
            )
        atomic_write_bytes(path, data)
        return path

    def _video(self) -> np.ndarray:
        """uint8 [T,H,W,3]: the dream, and beside it the simulator and the difference where they were."""
        panel = PANEL // (1 if len(self.moments) <= SHARP else 2 if len(self.moments) <= COARSE else 4)
        dream = np.stack([as_colours(moment.frame) for moment in self.moments])
        if any(moment.real is None for moment in self.moments):
            return grid([[dream]], ["dream"], [], panel=panel)
        real = np.stack([as_colours(moment.real) for moment in self.moments if moment.real is not None])
        apart = difference(real, dream)
        return grid([[dream, real, apart]], ["dream", "real", "difference"], [], panel=panel)

    def _write_minari(self, path: Path, real: bool) -> None:
        episode = _episode(self.moments, real, self.seed)
        source = "simulator" if real else "dream"
        manifest = describe_episodes(
            [episode],
            self.world.env,
            self.world.action_space,
            self.world.fps,
            {"played_by_hand": self.name, "seen_in": source},
            self.world.max_episode_steps,
        )
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            identity = "".join(c if c.isalnum() else "-" for c in self.name)
            export_minari([episode], manifest, f"play/{identity}-{source}-v0", folder)
            made = shutil.make_archive(str(Path(folder).with_suffix(".made")), "zip", folder)
        Path(made).replace(path)


def _episode(moments: Sequence[Moment], real: bool, seed: int) -> Episode:
    """An episode of the dream, or of the simulator up to its end. Raises WorldModelError without the simulator."""
    if real:
        ends = [k for k, moment in enumerate(moments) if moment.real_ended]
        moments = moments[: ends[0] + 1] if ends else moments
        if len(moments) < 2 or any(moment.real is None for moment in moments):
            raise WorldModelError(
                "The simulator was not beside all of it: save the dream, or reset and drive anew."
            )
    steps = moments[1:]
    frames: list[Any] = [moment.real if real else moment.frame for moment in moments]
    rewards = [step.real_reward if real else step.reward for step in steps]
    terminated, truncated = np.zeros((2, len(steps)), bool)
    terminated[-1] = steps[-1].real_ended if real else steps[-1].terminated
    truncated[-1] = not terminated[-1]
    actions: list[Any] = [step.action for step in steps]
    return Episode(
        frames=np.stack(frames),
        actions=np.stack(actions),
        rewards=np.array(rewards, np.float32),
        terminated=terminated,
        truncated=truncated,
        seed=seed,
    )
