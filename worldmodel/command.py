"""A command is one YAML file directly under worldmodel.configs.

Its root `_target_` names the function that runs, its other keys are that function's keyword arguments, and its
comments are the command's documentation: the first line describes it. `worldmodel data inspect` is data_inspect.yaml.
The keys listed in `_positional_` may be given without their name: `_positional_: [path]` makes `worldmodel data inspect
PATH` the same as `worldmodel data inspect path=PATH`. Nothing here imports Hydra, so that help answers at once;
worldmodel.overrides composes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from textwrap import indent

from worldmodel.errors import WorldModelError
from worldmodel.nearest import did_you_mean

CONFIGS = "worldmodel.configs"
_GLOBAL = "# @package _global_"  # Hydra's mark of a preset whose keys belong to the command itself


@dataclass(frozen=True)
class Command:
    """The command `name`, which is its YAML file's name, with that file's text."""

    name: str
    text: str

    @property
    def typed(self) -> str:
        """As it is typed: the underscores of `name` are spaces."""
        return self.name.replace("_", " ")

    @property
    def description(self) -> str:
        return _first_comment(self.text)

    def help(self) -> str:
        """Its keys with their comments, and what each group of presets offers."""
        words = ["worldmodel", self.typed, *(key.upper() for key in self._positional()), "[KEY=VALUE ...]"]
        return "\n\n".join([f"usage: {' '.join(words)}", self.text.strip(), *self._groups()])

    def named(self, words: Sequence[str]) -> list[str]:
        """`words` as KEY=VALUE: those without a key are the values of the positional keys, in order."""
        given = {word.partition("=")[0] for word in words if "=" in word}
        free = [key for key in self._positional() if key not in given]
        return [f"{free.pop(0)}={_quoted(word)}" if free and _is_bare(word) else word for word in words]

    def _positional(self) -> list[str]:
        found = re.search(r"^_positional_: *\[(.*?)\]", self.text, re.MULTILINE)
        return [key.strip() for key in found[1].split(",")] if found else []

    def _groups(self) -> Iterator[str]:
        """For every `- group: choice` in the defaults list: the choices there are, and the keys of the chosen one."""
        for group, chosen in re.findall(r"^\s*- (?:override )?/?([\w/]+): *(\S+)", self.text, re.MULTILINE):
            folder = files(CONFIGS).joinpath(group)
            if folder.is_dir():
                presets = dict(yaml_files(folder))
                rows = [(f"{group}={name}", _first_comment(text)) for name, text in presets.items()]
                yield f"choices for {group}:\n{table(rows)}"
                text = presets[chosen]
                prefix = "" if _GLOBAL in text else f"{group}."
                yield f"keys of {group}={chosen}, given as {prefix}KEY=VALUE:\n{indent(text, '  ').rstrip()}"


def commands() -> dict[str, Command]:
    """Every command, by name."""
    found = yaml_files(files(CONFIGS))
    return {name: Command(name, text) for name, text in found if re.search(r"^_target_:", text, re.MULTILINE)}


def yaml_files(folder: Traversable) -> list[tuple[str, str]]:
    """(name, text) of the YAML files directly in `folder`, in the order of their names."""
    entries = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    found = [(entry.name.removesuffix(".yaml"), entry.read_text(encoding="utf-8")) for entry in entries]
    return sorted(found)


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two aligned columns, indented."""
    width = max((len(left) for left, _ in rows), default=0)
    return "\n".join(f"  {left:<{width}}  {right}".rstrip() for left, right in rows)


def find(words: Sequence[str]) -> tuple[Command, list[str]]:
    """The command that `words` begin with, one word or two, and the words after it."""
    known = commands()
    for length in (2, 1):
        name = "_".join(words[:length])
        if len(words) >= length and name in known:
            return known[name], list(words[length:])
    raise WorldModelError(_unknown(words, {command.typed for command in known.values()}))


def _unknown(words: Sequence[str], known: set[str]) -> str:
    below = sorted(name for name in known if name.startswith(f"{words[0]} "))
    if not below:
        guess = did_you_mean(words[0], known)
        return f"unknown command {words[0]!r}{guess}; commands: {', '.join(sorted(known))}."
    if len(words) < 2 or words[1].startswith("-"):
        return f"say what to do: {', '.join(below)}."
    guess = did_you_mean(" ".join(words[:2]), below)
    return f"unknown command {' '.join(words[:2])!r}{guess}; commands: {', '.join(below)}."


def _is_bare(word: str) -> bool:
    return "=" not in word and not word.startswith(("-", "+", "~"))


def _quoted(word: str) -> str:
    """In quotes, so that no letter of it means anything to the grammar of overrides."""
    return "'" + re.sub(r"(\\*)('|$)", lambda run: run[1] * 2 + ("\\'" if run[2] else ""), word) + "'"


def _first_comment(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("# @"))  # Hydra's own
    first = next(lines, "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""
