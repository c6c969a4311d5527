"""Do the keys and values of a config fit the signature of the function its `_target_` names?"""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from worldmodel.errors import WorldModelError
from worldmodel.nearest import did_you_mean

_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    dict: "a mapping of keys",
    list: "a list",
    type(None): "null",
}
_AS_YAML_HOLDS_IT: dict[type, type] = {Mapping: dict, Sequence: list, tuple: list}
T = TypeVar("T")


def locate(path: str) -> Any:
    """The object with this dotted name. What fails while importing it is raised as it is."""
    name, *rest = path.split(".")
    found = import_module(name)
    for part in rest:
        name = f"{name}.{part}"
        if isinstance(found, types.ModuleType) and not hasattr(found, part):
            import_module(name)
        found = getattr(found, part)
    return found


def made_of(target: Callable[..., T], settings: Mapping[str, Any] | None, key: str) -> T:
    """target(**settings), or a WorldModelError that names what does not fit as KEY.NAME. None: nothing is set."""
    return target(**checked_arguments(target, settings or {}, f"{key}."))


def checked_arguments(
    target: Callable[..., Any], config: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """The keyword arguments in `config` for `target`; WorldModelError names the first that does not fit.

    Nested mappings with a `_target_` of their own are checked too, and stay plain mappings. Whole numbers
    become text, and text a Path, where only that fits. prefix: what stands before each key in messages.
    """
    arguments = _fitting(target, config, prefix)
    for name, parameter in inspect.signature(target).parameters.items():
        if name not in arguments and parameter.default is parameter.empty and _takes_keyword(parameter):
            raise WorldModelError(f"{prefix}{name} is missing; give it as {prefix}{name}=VALUE.")
    return arguments


def _fitting(target: Callable[..., Any], config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    parameters = inspect.signature(target).parameters
    known = [name for name, parameter in parameters.items() if _takes_keyword(parameter)]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    arguments = {}
    for name, value in config.items():
        if name.startswith("_") and name.endswith("_"):  # Hydra's own: _target_, _partial_, ...
            continue
        if name in known:
            value = _fitting_value(value, _annotation(target, parameters[name]), prefix + name)
        elif not open_ended:
            guess = did_you_mean(name, known)
            raise WorldModelError(f"there is no key {prefix}{name}{guess}; keys: {', '.join(known)}.")
        _check_nested(value, f"{prefix}{name}.")
        arguments[name] = value
    return arguments


def _check_nested(value: object, prefix: str) -> None:
    """Check a mapping that names its own `_target_`; what calls it later supplies what is missing here."""
    if not isinstance(value, Mapping) or "_target_" not in value:
        return
    try:
        target = locate(value["_target_"])
    except (ImportError, AttributeError) as error:
        raise WorldModelError(f"{prefix}_target_ cannot be imported ({error}).") from error
    _fitting(target, value, prefix)


def _fitting_value(value: Any, annotation: object, key: str) -> Any:
    accepted = _accepted(annotation)
    if accepted is None or _is_one_of(value, accepted):
        return value
    if str in accepted and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # out=2026: a folder may be called like a number
    if Path in accepted and isinstance(value, str):
        return Path(value)
    wanted = " or ".join(dict.fromkeys(_WORDS[kind] for kind in accepted))
    raise WorldModelError(f"{key} must be {wanted}, not {value!r}.")


def _is_one_of(value: object, accepted: Sequence[type]) -> bool:
    if isinstance(value, bool):  # a bool is an int for Python, not for a user
        return bool in accepted
    if isinstance(value, tuple):  # a list, for whoever calls from Python
        return list in accepted
    return isinstance(value, tuple(accepted)) or (isinstance(value, int) and float in accepted)


def _accepted(annotation: object) -> list[type] | None:
    """The plain types an annotation allows, or None if it allows more than can be checked here."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        parts = [_accepted(part) for part in get_args(annotation)]
        return None if None in parts else [kind for part in parts if part is not None for kind in part]
    plain = type(None) if annotation is None else origin or annotation
    if not isinstance(plain, type):
        return None
    in_yaml = _AS_YAML_HOLDS_IT.get(plain, plain)
    return [in_yaml] if in_yaml in _WORDS else None


def _takes_keyword(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _annotation(target: Callable[..., Any], parameter: inspect.Parameter) -> object:
    """The annotation as an object; Any, so unchecked, where it names something only type checkers import."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    names = vars(import_module(target.__module__))
    try:
        return eval(parameter.annotation, names)
    except NameError:
        return Any
