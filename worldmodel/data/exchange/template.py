"""`worldmodel data template`: a small folder of recordings that imports as it is, to be filled with one's own."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from worldmodel.errors import DatasetError
from worldmodel.files import atomic_directory, atomic_write_text

_SIZE, _STEPS, _FPS = 64, 24, 12

_SETTINGS = f"""\
# What all recordings in this folder share. Import them with
#
#   worldmodel data import THIS_FOLDER out=datasets/mine size=64
#
# and look at the result with: worldmodel data inspect datasets/mine

# What an action is. Also: {{type: Discrete, n: 4}}, {{type: MultiDiscrete, nvec: [3, 2]}}, {{type: MultiBinary, n: 5}}.
# low and high are one number, or a list with one for each dimension.
action_space: {{type: Box, shape: [2], low: -1.0, high: 1.0}}

# Frames, and so steps, per second.
fps: {_FPS}

# An action leads from one frame to the next, so there is one frame more than there are actions. If yours have as many
# actions as frames: last, when action t was taken at frame t; first, when it led to frame t.
drop_action: null

# Where the environment ends every episode, if it does.
max_episode_steps: null
"""

_READ_ME = """\
# Recordings

One .npz file per episode, written with `numpy.savez_compressed`. Names and sub-folders are yours; `recordings.yaml`
holds what all of them share. An episode of T steps has T + 1 frames:

    frame      x_0        x_1        x_2        x_3
    action          a_0        a_1        a_2            a_t leads FROM x_t TO x_{t+1}
    reward          r_0        r_1        r_2            r_t and terminated_t belong to that same step

| array | shape | |
| --- | --- | --- |
| actions | [T, ...] | needed; as `action_space` in recordings.yaml says |
| frames | uint8 [T+1, H, W, 3], or [T+1, H, W] for grey | or a video beside it: .mp4, .mkv, .mov, .webm, .avi |
| rewards | [T] | without it, all are 0 |
| terminated | bool [T] | True where the task itself ended (goal, fall); without it, never |
| truncated | bool [T] | True where the recording merely stopped; without it, at the last step unless that terminated |
| seed | a number | decides whether the episode is held out; without it, the file's name does |
| info.NAME | [T+1, ...] | any numbers known at each frame, such as positions |

`in_one_file.npz` has its frames inside; `beside_a_video.npz` has them in `beside_a_video.mp4`. All recordings must have
the same arrays. This is how the first was written:

    numpy.savez_compressed("in_one_file.npz", frames=frames, actions=actions, rewards=rewards)
"""


def write_template(out: str | Path) -> Path:
    """Write the template to the new folder `out`; returns it. Raises DatasetError when there is something."""
    folder = Path(out)
    if folder.exists():
        raise DatasetError(f"{folder} exists already: give a new folder.")
    with atomic_directory(folder, replace=False) as temporary:
        atomic_write_text(temporary / "README.md", _READ_ME)
        atomic_write_text(temporary / "recordings.yaml", _SETTINGS)
        frames, actions, rewards = _example(seed=0)
        np.savez_compressed(temporary / "in_one_file.npz", frames=frames, actions=actions, rewards=rewards)
        frames, actions, rewards = _example(seed=1)
        np.savez_compressed(temporary / "beside_a_video.npz", actions=actions, rewards=rewards)
        imageio.imwrite(temporary / "beside_a_video.mp4", frames, fps=_FPS, macro_block_size=1)
    return folder


def _example(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc that is pushed about: frames, actions, rewards."""
    rng = np.random.default_rng(seed)
    actions = np.repeat(rng.uniform(-1, 1, (_STEPS // 6, 2)), 6, axis=0).astype(np.float32)
    places = np.clip(32 + np.concatenate([np.zeros((1, 2)), np.cumsum(2 * actions, axis=0)]), 8, _SIZE - 8)
    rows, columns = np.mgrid[:_SIZE, :_SIZE]
    inside = [(columns - x) ** 2 + (rows - y) ** 2 < 36 for x, y in places]
    frames = np.where(np.stack(inside)[..., None], [230, 120, 40], [40, 44, 52]).astype(np.uint8)
    return frames, actions, -np.abs(places[1:] - 32).sum(axis=1).astype(np.float32) / _SIZE
