"""Importing the package registers its environments and loads nothing heavy."""

import subprocess
import sys

import gymnasium
import pytest

SCENES = ["Push", "Swing", "CartPole", "Bounce", "Hide", "Billiards", "Maze"]
IDS = [f"worldmodel/{name}-v0" for name in [*SCENES, "Atari", "Doom", "Pixels", "Dream"]]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_registers_and_loads_nothing_heavy() -> None:
    """torch and diffusers cost seconds; whoever only lists environments must not pay them."""
    loaded = python(
        "import sys, worldmodel; print(*{'torch', 'diffusers', 'mujoco', 'hydra'} & set(sys.modules))"
    )
    assert loaded == ""


@pytest.mark.parametrize("name", IDS)
def test_entry_points_exist(name: str) -> None:
    """A string entry point is not looked up before make: a wrong one would be found by users first."""
    spec = gymnasium.spec(name)
    for entry_point in (spec.entry_point, spec.vector_entry_point):
        if entry_point is not None:
            assert isinstance(entry_point, str)
            assert callable(gymnasium.envs.registration.load_env_creator(entry_point))


def test_make_works_without_importing_us_first() -> None:
    """Gymnasium does not read package entry points, so `package:id` is how to name us."""
    code = "import gymnasium; print(gymnasium.make('worldmodel:worldmodel/Push-v0').spec.id)"
    assert python(code) == "worldmodel/Push-v0"
