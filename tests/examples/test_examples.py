"""Every example in docs/examples runs, on a tiny world, and the page that lists them lists them all."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tiny_world import tiny_world_model

from worldmodel.model.checkpoint import save_world_model

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
Run = Callable[..., str]


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny worlds on disk, of the smallest pictures that the convolutions of the examples take."""
    spaces = {"box": gym.spaces.Box(-1.0, 1.0, (2,), np.float32), "discrete": gym.spaces.Discrete(3, start=1)}
    folder = tmp_path_factory.mktemp("worlds")
    for name, space in spaces.items():
        save_world_model(tiny_world_model(space, size=36), folder / name)
    return {name: str(folder / name) for name in spaces}


@pytest.fixture
def run(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an example as `python docs/examples/NAME.py ...` does, in this process; what it printed."""

    def run_example(name: str, *arguments: object) -> str:
        words = [str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")
        return capsys.readouterr().out

    return run_example


def needs(module: str, extra: str) -> None:
    pytest.importorskip(module, reason=f"the extra [{extra}] is not installed")


def test_sb3_ppo(run: Run, worlds: dict[str, str]) -> None:
    needs("stable_baselines3", "sb3")
    sizes = ["--steps", 32, "--dreams", 2, "--rollout", 16, "--batch", 16, "--episodes", 1]
    told = run("sb3_ppo", "--checkpoint", worlds["box"], *sizes)
    assert "32 imagined steps; real return" in told and "worldmodel/Push-v0" in told


@pytest.mark.parametrize("world", ["box", "discrete"])
def test_sb3_dqn(run: Run, worlds: dict[str, str], world: str) -> None:
    needs("stable_baselines3", "sb3")
    sizes = ["--steps", 48, "--dreams", 2, "--warm-up", 40]
    told = run("sb3_dqn", "--checkpoint", worlds[world], *sizes)
    assert "48 imagined steps; mean return of the last 4 dreams" in told


def test_torchrl(run: Run, worlds: dict[str, str]) -> None:
    needs("torchrl", "torchrl")
    told = run("torchrl_env", "--checkpoint", worlds["box"], "--dreams", 2, "--steps", 12)
    assert "[2, 12] steps, pixels [2, 12, 3, 36, 36], 2 ends" in told


@pytest.mark.parametrize("world", ["box", "discrete"])
def test_cleanrl_ppo(run: Run, worlds: dict[str, str], world: str) -> None:
    sizes = ["--updates", 2, "--dreams", 2, "--rollout", 12]
    told = run("cleanrl_ppo", "--checkpoint", worlds[world], *sizes)
    assert "48 imagined steps: mean return of the last 4" in told and "nan" not in told


def test_wrappers(run: Run, worlds: dict[str, str], tmp_path: Path) -> None:
    needs("cv2", "wrappers")
    needs("moviepy", "wrappers")
    told = run("wrappers", "--checkpoint", worlds["box"], "--steps", 5, "--out", tmp_path / "videos")
    assert "observation (4, 84, 84) uint8" in told and "observations (4, 36, 36)" in told
    (video,) = (tmp_path / "videos").glob("*.mp4")
    import imageio.v3 as iio

    assert iio.imread(video).shape == (6, 36, 36, 3), "the start and five steps"


def test_async_vector(run: Run, worlds: dict[str, str]) -> None:
    """The spec is pickled, and another process, begun with spawn, dreams from it."""
    told = run("async_vector", "--checkpoint", worlds["box"], "--processes", 1, "--steps", 3)
    assert "1 processes, frames (1, 36, 36, 3), steps [3]" in told


@pytest.mark.parametrize("world", ["box", "discrete"])
def test_play(run: Run, worlds: dict[str, str], world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from a keyboard that is not there: one is held down, and after a few steps Escape."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    needs("pygame", "play")
    import pygame

    key = {"box": pygame.K_d, "discrete": pygame.K_3}[world]
    frames = [[pygame.event.Event(pygame.KEYDOWN, key=key)], [], [], []]
    frames.append([pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE)])
    monkeypatch.setattr(pygame.event, "get", lambda: frames.pop(0))
    told = run("play", "--checkpoint", worlds[world], "--zoom", 2)
    assert {"box": "action [1. 0.]", "discrete": "action 3"}[world] in told and "step 4" in told


def test_the_page_lists_every_example() -> None:
    page = (EXAMPLES.parent / "libraries.md").read_text()
    assert all(f"examples/{path.name}" in page for path in EXAMPLES.glob("*.py"))
