"""Every YAML composes, and every `_target_` in it exists and takes the keys given: none names what is not there."""

import inspect
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from omegaconf import OmegaConf

from worldmodel.arguments import checked_arguments, locate
from worldmodel.command import CONFIGS, commands, yaml_files

FOLDER = Path(str(files(CONFIGS)))
PRESETS = sorted(
    (str(folder.relative_to(FOLDER)), name)
    for folder in FOLDER.rglob("*")
    if folder.is_dir()
    for name, _ in yaml_files(folder)
)


def configuration(name: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """The composed config, with interpolations; keys that the user must give stay '???'."""
    with initialize_config_module(CONFIGS, version_base="1.3"):
        container = OmegaConf.to_container(hydra_compose(name, overrides=overrides or []), resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def targets(config: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield where or "(root)", config["_target_"]
        for key, value in config.items():
            yield from targets(value, f"{where}.{key}".strip("."))


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_composes_and_its_target_takes_its_keys(name: str) -> None:
    config = configuration(name)
    given = {key: value for key, value in config.items() if value != "???"}
    target = locate(config["_target_"])
    parameters = inspect.signature(target).parameters
    missing = {key for key, value in config.items() if value == "???"}
    assert missing <= set(parameters), f"{name}.yaml asks for {missing - set(parameters)}, which is not taken"
    checked_arguments(target, {**given, **dict.fromkeys(missing, "x")})
    for where, path in targets(config):
        assert callable(locate(path)), f"{name}.yaml: {where} names {path}"


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_describes_itself_in_its_first_line(name: str) -> None:
    description = commands()[name].description
    assert description.endswith(".") and len(description) <= 110, description


def preset(group: str, name: str) -> dict[str, Any]:
    """By itself, or in the command it is for: a preset of a whole command may choose other presets there."""
    if not (FOLDER / group / f"{name}.yaml").read_text(encoding="utf-8").startswith("# @package _global_"):
        return configuration(f"{group}/{name}")
    users = [user for user in sorted(commands()) if f"- {group}: " in (FOLDER / f"{user}.yaml").read_text()]
    assert users, f"no command takes {group}="
    return configuration(users[0], [f"{group}={name}"])


@pytest.mark.parametrize(("group", "name"), PRESETS)
def test_a_preset_composes_and_its_targets_exist(group: str, name: str) -> None:
    for where, path in targets(preset(group, name)):
        assert callable(locate(path)), f"{group}/{name}.yaml: {where} names {path}"
