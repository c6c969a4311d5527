"""The GL option: the probe answers for every back end, and where one works, contexts do not disturb each other."""

import os
import subprocess
import sys

import pytest

from worldmodel.envs.drawing.gl import BACKENDS, probe_gl, require_gl
from worldmodel.errors import EnvError

# MUJOCO_GL counts when mujoco is imported, so drawing needs a process of its own.
DRAW = """
import numpy as np
import worldmodel
from worldmodel.envs.pixels import make_pixel_env
from worldmodel.envs.scenes.push import PushEnv

env = PushEnv(size=64, renderer="gl")
first, info = env.reset(seed=0)
assert first.max() > 150 and first.std() > 20, "black or constant"
by_rays, same = PushEnv(size=64).reset(seed=0)
assert (info["visible_area"] == same["visible_area"]).all()
assert np.abs(first.astype(int) - by_rays).mean() < 10, "another picture"
for name in ("Swing", "CartPole", "Bounce", "Hide", "Billiards"):
    make = lambda renderer: make_pixel_env(f"worldmodel/{name}-v0", size=64, renderer=renderer)
    other = make("gl")
    difference = np.abs(other.reset(seed=0)[0].astype(int) - make("raycast").reset(seed=0)[0])
    assert difference.mean() < 5, name
    other.close()
robot = make_pixel_env("HalfCheetah-v5", size=32, renderer="gl")
cheetah, _ = robot.reset(seed=0)
assert (env.reset(seed=0)[0] == first).all(), "another model's context drew this"
env.reset(options={"puck_radius": 0.1})  # compiles a new model and makes a new context
assert (env.reset(seed=0)[0] == first).all()
env.close()
assert (robot.reset(seed=0)[0] == cheetah).all(), "closing one context damaged the other"
robot.close()
"""


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    return probe_gl()


def test_every_back_end_works_or_says_what_to_install(found: dict[str, str]) -> None:
    assert tuple(found) == BACKENDS
    assert all(result == "ok" or "; " in result for result in found.values())


def test_contexts_do_not_disturb_each_other(found: dict[str, str]) -> None:
    working = [backend for backend in ("egl", "osmesa") if found[backend] == "ok"]
    if not working:
        pytest.skip(f"no headless OpenGL here: {found['egl']}")
    environment = {**os.environ, "MUJOCO_GL": working[0]}
    child = subprocess.run(
        [sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr


def test_a_back_end_that_cannot_draw_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(EnvError, match="MUJOCO_GL=disable cannot draw off screen"):
        require_gl()
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr("worldmodel.envs.drawing.gl._probe", lambda backend, timeout: "broken")
    with pytest.raises(
        EnvError, match="renderer='gl' cannot draw with MUJOCO_GL=osmesa here: install OSMesa"
    ):
        require_gl()
