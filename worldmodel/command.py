"""A command is one YAML file directly under worldmodel.configs.

Its root `_target_` names the function that runs, its other keys are that function's keyword arguments, and its
comments are the command's documentation: the first line describes it. Nothing here imports Hydra, so that help
answers at once; worldmodel.overrides composes.
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


@dataclass(frozen=True)
class Command:
    """The command `name`, with the text of its YAML file."""

    name: str
    text: str

    @property
    def description(self) -> str:
        return _first_comment(self.text)

    def help(self) -> str:
        """Its keys with their comments, and what each group of presets offers."""
        usage = f"usage: worldmodel {self.name} [KEY=VALUE ...]"
        return "\n\n".join([usage, self.text.strip(), *self._groups()])

    def _groups(self) -> Iterator[str]:
        """For every `- group: choice` in the defaults list: the choices there are, and the keys of the chosen one."""
        for group, chosen in re.findall(r"^\s*- (?:override )?/?([\w/]+): *(\S+)", self.text, re.MULTILINE):
            folder = files(CONFIGS).joinpath(group)
            if folder.is_dir():
                presets = dict(yaml_files(folder))
                rows = [(f"{group}={name}", _first_comment(text)) for name, text in presets.items()]
                yield f"choices for {group}:\n{table(rows)}"
                yield f"keys of {group}={chosen}, given as {group}.KEY=VALUE:\n{indent(presets[chosen], '  ').rstrip()}"


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


def find(name: str) -> Command:
    """The command called `name`."""
    known = commands()
    if name not in known:
        guess = did_you_mean(name, known)
        raise WorldModelError(f"unknown command {name!r}{guess}; commands: {', '.join(known)}.")
    return known[name]


def _first_comment(text: str) -> str:
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""
