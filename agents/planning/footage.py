"""Frames out of a video, a picture, a folder of pictures, an npz file, or an episode of a dataset."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.data.exchange.video import VIDEO_SUFFIXES, read_video
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.model.world import WorldSpec
from worldmodel.real_env import EnvConfig

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_EPISODE = re.compile(r"(?P<path>.+)#(?P<episode>\d+)(?::(?P<first>\d+)-(?P<last>\d+))?")


@dataclass(frozen=True)
class Footage:
    """frames uint8 [n,H,W,C]; actions [n-1, ...] as ActionCodec stores them, None where nobody told them."""

    frames: NDArray[np.uint8]
    actions: NDArray[Any] | None = None


def read_footage(source: str, world: WorldSpec, fit: str | None = None) -> Footage:
    """The frames that `source` names, fit for `world`.

    source: a video or GIF, a picture, a folder of pictures (in the order of their names), an .npz with `frames` and
    perhaps `actions`, or DATASET#EPISODE, of which DATASET#EPISODE:FIRST-LAST are these frames alone, both included.
    fit: how pictures of another size are brought to the world's, see PictureFit; None: they are refused. Raises
    WorldModelError in one sentence when it cannot be read, or is of another world.
    """
    episode = _EPISODE.fullmatch(source)
    path = Path(source)
    if episode and not path.exists():
        return _of_size(_episode(episode, world), source, world, None)
    if not path.exists():
        raise DatasetError(
            f"{source} does not exist; give a video, a picture, a folder of pictures, an .npz, or DATASET#EPISODE:3-9."
        )
    if path.suffix == ".npz":
        return _of_size(_archive(path, world), source, world, fit)
    return _of_size(Footage(_frames(path)), source, world, fit)


def _frames(path: Path) -> NDArray[np.uint8]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not files:
            raise DatasetError(f"{path} holds no pictures ({', '.join(PICTURES)}).")
        frames = [_pictures(file)[0] for file in files]
        if len({frame.shape for frame in frames}) > 1:
            raise DatasetError(f"The pictures in {path} are not all of one size.")
        return np.stack(frames)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return read_video(path)
    if path.suffix.lower() in PICTURES:
        return _pictures(path)
    raise DatasetError(f"{path} is neither a video ({', '.join(VIDEO_SUFFIXES)}) nor a picture nor an .npz.")


def _pictures(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as a picture: {str(error).splitlines()[0]}.") from error


def _archive(path: Path, world: WorldSpec) -> Footage:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array; write it with np.savez.")
        with loaded as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if "frames" not in arrays:
        raise DatasetError(f"{path} holds no array called frames; it holds {', '.join(arrays) or 'nothing'}.")
    frames, actions = arrays["frames"], arrays.get("actions")
    if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames):
        raise DatasetError(
            f"{path} has frames {frames.dtype} {list(frames.shape)}, expected uint8 [n, H, W, 3]."
        )
    codec = world.codec
    if actions is None:
        return Footage(frames)
    expected = (len(frames) - 1, *codec.stored_shape)
    if actions.shape != expected or not np.can_cast(actions.dtype, codec.stored_dtype, "same_kind"):
        raise DatasetError(
            f"{path} has actions {actions.dtype} {list(actions.shape)}; {len(frames)} frames of this world have "
            f"{codec.stored_dtype} {list(expected)} between them: leave actions out if they are not known."
        )
    actions = actions.astype(codec.stored_dtype)
    for number, action in enumerate(actions):
        try:
            codec.check(codec.restore(action))
        except WorldModelError as error:
            raise DatasetError(f"{path}, action {number}: {error}") from error
    return Footage(frames, actions)


def _episode(found: re.Match[str], world: WorldSpec) -> Footage:
    dataset = EpisodeDataset(found["path"])
    if _name(dataset.env) != _name(world.env) or dataset.action_space != world.action_space:
        raise DatasetError(
            f"{dataset.path} was recorded in {dataset.env.id} with actions {dataset.action_space}, the world dreams "
            f"{world.env.id} with {world.action_space}."
        )
    episode = dataset.episode(int(found["episode"]))
    first = int(found["first"] or 0)
    last = len(episode) if found["last"] is None else int(found["last"])
    if not first <= last <= len(episode):
        raise DatasetError(
            f"Episode {found['episode']} of {dataset.path} has the frames 0 to {len(episode)}, not {first} to {last}."
        )
    return Footage(episode.frames[first : last + 1], episode.actions[first:last])


def _name(env: EnvConfig) -> str:
    return env.id.rpartition(":")[2]


def _of_size(footage: Footage, source: str, world: WorldSpec, fit: str | None) -> Footage:
    height, width, _ = world.frame_shape
    frames = footage.frames
    if fit is not None and height == width:
        try:
            frames = PictureFit(height, fit)(frames)
        except WorldModelError as error:
            raise DatasetError(f"{source}: {error}") from error
    if frames.shape[1:] != world.frame_shape:
        # Fits are square.
        way = "give fit=crop or fit=stretch, or " if height == width and fit is None else "give "
        raise DatasetError(
            f"{source} has frames of shape {list(frames.shape[1:])}, the world draws {list(world.frame_shape)}: {way}"
            "pictures of that size."
        )
    return Footage(frames, footage.actions)
