"""Imports run one way: envs -> core, agents -> core and the environments' public face; in the core from later floors to
earlier ones."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"worldmodel": "worldmodel", "envs": "worldmodel.envs", "agents": "worldmodel.agents"}

# What agents may import of the environments.
PUBLIC_FACES = {"worldmodel.envs.dream"}

# A module of the core may import from its own line and the lines above it.
CORE_FLOORS = [
    {
        "errors",
        "body_names",
        "nearest",
        "progress",
        "files",
        "episode",
        "frames",
        "action_check",
        "policy",
        "spaces",
        "real_env",
        "noise",
        "run_settings",
        "machine",
        "zoo",
        "arguments",
        "device",
    },
    {"data"},
    {"model"},
    {"training"},
    {"benchmark", "evaluation", "report"},
    {"play"},
    {"cli", "command", "overrides", "doctor", "demo", "stages", "__main__"},
]


def modules() -> dict[str, Path]:
    """Installed name -> file, for every module of the project."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """Every module of ours that `name` imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            source = _source(name, node)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                if full in MODULES or source in MODULES:
                    yield full if full in MODULES else source


def _source(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    depth = node.level - (MODULES[name].name == "__init__.py")
    package = ".".join(name.split(".")[: len(name.split(".")) - depth])
    return f"{package}.{node.module}" if node.module else package


def part(name: str) -> str:
    """envs, agents or core."""
    top = ([*name.split("."), ""])[1]
    return top if top in ("envs", "agents") else "core"


def floor(name: str) -> int:
    top = ([*name.split("."), ""])[1]
    if not top:
        return 0  # the package itself: version and registration
    floors = [number for number, names in enumerate(CORE_FLOORS) if top in names]
    assert floors, f"{name} stands on no floor: give it one in CORE_FLOORS"
    return floors[0]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_stay_in_their_part(name: str) -> None:
    allowed = {"core"} if part(name) == "core" else {"core", part(name)}
    faces = PUBLIC_FACES if part(name) == "agents" else set()
    wrong = [target for target in imports(name) if part(target) not in allowed and target not in faces]
    assert not wrong, f"{name} ({part(name)}) must not import {wrong}"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part(name) == "core"))
def test_core_imports_only_floors_below(name: str) -> None:
    wrong = [t for t in imports(name) if part(t) == "core" and floor(t) > floor(name)]
    assert not wrong, f"{name} (floor {floor(name) + 1}) must not import {wrong} from above"


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: {target for target in imports(name) if target != name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_the_parser_sees_relative_lazy_and_plain_imports() -> None:
    """Guards the guard: what these modules import is known."""
    assert "worldmodel.errors" in set(imports("worldmodel.command"))
    assert "worldmodel.overrides" in set(imports("worldmodel.cli")), "imported inside a function"
    assert "worldmodel" in set(imports("worldmodel.cli")), "from worldmodel import __version__"
