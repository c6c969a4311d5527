"""Clips come in as they are, from every kind of file, and what does not fit is one sentence."""

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image
from tiny_world import SIZE, tiny_world_model
from video_files import write_lossless

from worldmodel.agents.planning.footage import read_footage
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.report.video import encode_gif

WORLD = tiny_world_model().world
HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 3}
FRAMES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)


def test_videos_and_pictures(tmp_path: Path) -> None:
    write_lossless(tmp_path / "clip.mp4", FRAMES)
    (tmp_path / "pictures").mkdir()
    for number, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("not a picture")
    for name in ("clip.mp4", "pictures"):
        footage = read_footage(str(tmp_path / name), WORLD)
        np.testing.assert_array_equal(footage.frames, FRAMES)
        assert footage.actions is None
    one = read_footage(str(tmp_path / "pictures" / "2.png"), WORLD)
    np.testing.assert_array_equal(one.frames, FRAMES[2:3])


def test_gifs(tmp_path: Path) -> None:
    flat = np.stack([np.full((SIZE, SIZE, 3), 60 * number, np.uint8) for number in range(4)])
    (tmp_path / "clip.gif").write_bytes(encode_gif(flat, 10.0))
    np.testing.assert_array_equal(read_footage(str(tmp_path / "clip.gif"), WORLD).frames, flat)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.info["duration"] == 100 and image.info["loop"] == 0


def test_archives(tmp_path: Path) -> None:
    actions = np.linspace(-1, 1, 6).reshape(3, 2)
    np.savez(tmp_path / "both.npz", frames=FRAMES, actions=actions)
    np.savez(tmp_path / "frames.npz", frames=FRAMES)
    both = read_footage(str(tmp_path / "both.npz"), WORLD)
    assert both.actions is not None and both.actions.dtype == np.float32
    np.testing.assert_allclose(both.actions, actions, atol=1e-6)
    assert read_footage(str(tmp_path / "frames.npz"), WORLD).actions is None


def test_episodes_of_a_dataset(tmp_path: Path) -> None:
    env = WORLD.env.to_json()
    collect(env=env, policy=HELD, out=str(tmp_path / "data"), episodes=2, max_steps=6, workers=0)
    episode = EpisodeDataset(tmp_path / "data").episode(1)
    whole = read_footage(f"{tmp_path}/data#1", WORLD)
    np.testing.assert_array_equal(whole.frames, episode.frames)
    part = read_footage(f"{tmp_path}/data#1:2-4", WORLD)
    np.testing.assert_array_equal(part.frames, episode.frames[2:5])
    np.testing.assert_array_equal(part.actions, episode.actions[2:4])
    for wrong, sentence in (("#7", "no episode 7"), ("#1:5-9", "frames 0 to 6, not 5 to 9")):
        with pytest.raises(WorldModelError, match=sentence):
            read_footage(f"{tmp_path}/data{wrong}", WORLD)
    other = tiny_world_model(env_id="worldmodel/Swing-v0").world
    with pytest.raises(WorldModelError, match=r"recorded in worldmodel/Push-v0.*dreams worldmodel/Swing-v0"):
        read_footage(f"{tmp_path}/data#1", other)


def test_pictures_of_another_size_are_refused_or_made_to_fit(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 20, 3), 77, np.uint8)).save(tmp_path / "large.png")
    with pytest.raises(WorldModelError, match="give fit=crop or fit=stretch"):
        read_footage(str(tmp_path / "large.png"), WORLD)
    for fit in ("crop", "stretch"):
        frames = read_footage(str(tmp_path / "large.png"), WORLD, fit).frames
        assert frames.shape == (1, SIZE, SIZE, 3) and (frames == 77).all()
    with pytest.raises(WorldModelError, match="fit is 'squeeze'"):
        read_footage(str(tmp_path / "large.png"), WORLD, "squeeze")


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    for name in ("broken.mp4", "broken.png", "broken.npz"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    np.savez(tmp_path / "other.npz", pictures=FRAMES)
    np.savez(tmp_path / "floats.npz", frames=FRAMES / 255)
    np.savez(tmp_path / "short.npz", frames=FRAMES, actions=np.zeros((4, 2)))
    np.savez(tmp_path / "nan.npz", frames=FRAMES, actions=np.full((3, 2), np.nan))
    (tmp_path / "nothing.npz").touch()
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, FRAMES)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    for name, sentence in {
        "nowhere.mp4": "does not exist",
        "nowhere#3": "nowhere",
        "empty": "holds no pictures",
        "text.txt": "neither a video",
        "broken.mp4": "cannot be decoded",
        "broken.png": "cannot be read as a picture",
        "broken.npz": "cannot be read",
        "other.npz": "no array called frames; it holds pictures",
        "floats.npz": "has frames float64",
        "short.npz": "leave actions out",
        "nan.npz": "action 0: ",
        "nothing.npz": "cannot be read",
        "single.npz": "write it with np.savez",
        "bomb.png": "cannot be read as a picture",
    }.items():
        with pytest.raises(WorldModelError, match=sentence) as error:
            read_footage(str(tmp_path / name), WORLD)
        assert "\n" not in str(error.value)


def test_choices_that_there_are_not_are_refused(tmp_path: Path) -> None:
    world = tiny_world_model(gym.spaces.Discrete(3)).world
    np.savez(tmp_path / "choices.npz", frames=FRAMES, actions=np.array([0, 5, 1]))
    with pytest.raises(WorldModelError, match="action 1: "):
        read_footage(str(tmp_path / "choices.npz"), world)


def test_a_fit_that_does_not_help_is_not_advised(tmp_path: Path) -> None:
    wide = replace(WORLD, frame_shape=(SIZE, 2 * SIZE, 3))
    np.savez(tmp_path / "frames.npz", frames=FRAMES)
    with pytest.raises(WorldModelError, match="give pictures of that size"):
        read_footage(str(tmp_path / "frames.npz"), wide, "crop")
