"""What `pip install` puts on a machine: every folder under worldmodel, and nothing under a bare name."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tiny_world import tiny_world_model

from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import save_world_model

SHIPPED = "tiny-of-the-packaging-tests"
MAPPED = {"worldmodel": "worldmodel", "envs": "worldmodel.envs", "agents": "worldmodel.agents"}
MAPPED |= {"configs": "worldmodel.configs"}


@pytest.fixture(scope="module")
def setuptools_table(repository: Path) -> dict[str, Any]:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    return project["tool"]["setuptools"]


def test_package_list_is_what_lies_on_disk(repository: Path, setuptools_table: dict[str, Any]) -> None:
    """setuptools cannot discover mapped packages, so the list is written by hand and easily forgotten."""
    found = set()
    for folder, package in MAPPED.items():
        for path in (repository / folder).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                found.add(".".join([package, *path.parent.relative_to(repository / folder).parts]))
    assert sorted(setuptools_table["packages"]) == sorted(found)


def test_every_package_has_an_init(repository: Path, setuptools_table: dict[str, Any]) -> None:
    """A folder of YAML files without __init__.py is invisible to Hydra's pkg:// search path."""
    folders = {package: folder for folder, package in MAPPED.items()}
    for package in setuptools_table["packages"]:
        root = max((mapped for mapped in folders if f"{package}.".startswith(f"{mapped}.")), key=len)
        path = repository / folders[root] / package.removeprefix(root).strip(".").replace(".", "/")
        assert (path / "__init__.py").is_file(), path


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real wheel, built from a copy (setuptools leaves a build folder behind), without downloading anything."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    copy_sources(repository, source)
    with atomic_directory(source / "worldmodel" / "zoo" / SHIPPED) as temporary:
        save_world_model(tiny_world_model(), temporary, half=True)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


def copy_sources(repository: Path, target: Path) -> None:
    from shutil import copy, copytree, ignore_patterns

    for name in MAPPED:
        copytree(repository / name, target / name, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(repository / name, target / name)


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_wheel_holds_every_source_and_nothing_else(wheel: Path, repository: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected, shelf = set(), repository / "worldmodel" / "zoo"
    page = repository / "worldmodel" / "play" / "page"
    for folder, package in MAPPED.items():
        for path in (repository / folder).rglob("*"):
            shipped = path.is_file() and path.is_relative_to(shelf) and path.suffix not in (".pyc", "")
            shipped = shipped or (path.is_file() and path.is_relative_to(page))
            if path.suffix in (".py", ".yaml") or path.name == "py.typed" or shipped:
                expected.add(
                    f"{package.replace('.', '/')}/{path.relative_to(repository / folder).as_posix()}"
                )
    assert any(name.endswith("play/page/index.html") for name in expected)
    assert expected <= inside, f"missing from the wheel: {sorted(expected - inside)}"
    assert {name.split("/")[0] for name in inside} == {"worldmodel"}, (
        "only worldmodel may be on the top level"
    )
    assert not [name for name in inside if "test" in Path(name).name]


def test_wheel_installs_and_imports_alone(wheel: Path, tmp_path: Path) -> None:
    """Installed into an empty folder, imported in a process that cannot see the working copy."""
    target = tmp_path / "site"
    run(
        sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)
    )
    assert not {"envs", "agents", "configs", "tests"} & {path.name for path in target.iterdir()}
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r});"
        "import worldmodel, worldmodel.envs, worldmodel.agents, worldmodel.configs;"
        "from worldmodel.overrides import compose; from worldmodel.command import commands;"
        f"modules = [worldmodel, worldmodel.envs, worldmodel.agents, worldmodel.configs];"
        f"assert all(module.__file__.startswith({str(target)!r}) for module in modules), modules;"
        "assert compose('doctor', [])['_target_'] == 'worldmodel.doctor.doctor';"
        "print(*commands())"
    )
    # -I: no working folder on the path; the editable install's finder must not answer first either.
    hide = "import sys; sys.meta_path = [f for f in sys.meta_path if not str(f).startswith('<class \\'__editable__')];"
    names = run(sys.executable, "-I", "-c", hide + code, cwd=tmp_path).split()
    assert "doctor" in names


def test_a_world_of_the_zoo_is_in_the_wheel_and_dreams(wheel: Path, tmp_path: Path) -> None:
    """Right after installation, by its name, in a process that sees neither the working copy nor a network."""
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path),
        str(wheel),
    )
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if not str(f).startswith('<class \\'__editable__')];"
        f"sys.path.insert(0, {str(tmp_path)!r});"
        "import gymnasium, worldmodel;"
        f"env = gymnasium.make('worldmodel/Dream-v0', checkpoint={SHIPPED!r});"
        "env.reset(seed=0);"
        "print(worldmodel.__file__, env.step(env.action_space.sample())[0].shape)"
    )
    assert run(sys.executable, "-I", "-c", code, cwd=tmp_path).strip() == (
        f"{tmp_path / 'worldmodel' / '__init__.py'} (8, 8, 3)"
    )


def test_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = archive.read(name).decode()
    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: MIT" in metadata
    assert "torchvision" not in metadata, "it can replace a CPU build of torch by a CUDA build of several GB"
    (entry_points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert "worldmodel = worldmodel.cli:main" in archive.read(entry_points).decode()
