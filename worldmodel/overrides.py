"""Composing a command's config from the user's overrides; every mistake in them becomes one sentence."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from worldmodel.command import CONFIGS
from worldmodel.errors import WorldModelError
from worldmodel.nearest import did_you_mean


def compose(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Config `name` as plain containers, interpolations resolved. Errors: WorldModelError naming the key."""
    for text in overrides:
        _check_form(text)
    with initialize_config_module(CONFIGS, version_base="1.3"):
        try:
            return _plain(hydra_compose(name, overrides=list(overrides)))
        except OverrideParseException as error:
            raise WorldModelError(_bad_syntax(error.override or "")) from error
        except MissingConfigException as error:
            raise WorldModelError(_no_such_choice(error)) from error
        except ConfigCompositionException as error:
            raise WorldModelError(_diagnosis(name, overrides) or _one_line(error)) from error
        except MissingMandatoryValue as error:
            raise WorldModelError(
                f"{error.full_key} is missing; give it as {error.full_key}=VALUE."
            ) from error
        except OmegaConfBaseException as error:
            raise WorldModelError(f"{error.full_key}: {_one_line(error)}") from error


def _plain(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _check_form(text: str) -> None:
    if text.startswith("-"):
        raise WorldModelError(f"options are written KEY=VALUE, not {text!r}; --help lists the keys.")
    key, equals, _ = text.partition("=")
    if not key.strip("+~") or not (equals or key.startswith("~")):
        raise WorldModelError(f"{text!r} is not of the form KEY=VALUE; --help lists the keys.")


def _bad_syntax(text: str) -> str:
    key, _, value = text.partition("=")
    quoted = f"'{key}=\"{value}\"'"
    return f"cannot read {text!r}; a value with special characters needs quotes inside quotes: {quoted}."


def _no_such_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    return f"there is no {group}={choice}{did_you_mean(choice, options)}; choices: {', '.join(options)}."


def _one_line(error: Exception) -> str:
    """The first line of a message that goes on with details of the configuration library."""
    return str(error).strip().splitlines()[0].rstrip(".") + "."


def _diagnosis(name: str, overrides: Sequence[str]) -> str | None:
    """The sentence for the first override that is a sweep or has an unknown key (Hydra names no valid keys)."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in parsed:
        if override.is_sweep_override():
            return _bad_syntax(str(override.input_line))
    groups = [str(override.input_line) for override in parsed if _is_group(override)]
    config = OmegaConf.to_container(hydra_compose(name, overrides=groups))
    for override in parsed:
        key = override.key_or_group
        if not (override.is_add() or _is_group(override) or key.startswith("hydra.")):
            sentence = _missing_from(config, key, str(override.input_line))
            if sentence:
                return sentence
    return None


def _is_group(override: Override) -> bool:
    return files(CONFIGS).joinpath(override.key_or_group).is_dir()


def _missing_from(level: Any, key: str, text: str) -> str | None:
    parts = key.split(".")
    for depth, part in enumerate(parts):
        here = ".".join(parts[:depth])
        if not isinstance(level, Mapping):
            return f"{here} holds one value, so it has no key {part!r}."
        keys = [key for key in level if key not in ("_target_", "_positional_")]
        if part not in level and not keys:
            return f"{here} is empty; to add a key to it, begin with a plus sign: +{text}."
        if part not in level:
            full = f"{here}.{part}" if here else part
            return f"there is no key {full}{did_you_mean(part, keys)}; keys: {', '.join(keys)}."
        level = level[part]
    return None
