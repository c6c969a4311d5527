"""Commands of two words, and values given without their key: `worldmodel thing look PATH`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from worldmodel import cli, command, overrides

PACKAGE = "subcommands_under_test"

LOOK_YAML = """\
# Look at a thing.
_target_: subcommands_under_test.look
_positional_: [path, name]
path: ???
name: unnamed
times: 1
"""

CODE = """
from pathlib import Path
calls: list = []
def look(path: Path, name: str, times: int) -> None:
    calls.append((path, name, times))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with the commands `thing look`, `thing touch` and `other`."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(CODE)
    (folder / "thing_look.yaml").write_text(LOOK_YAML)
    (folder / "thing_touch.yaml").write_text(f"# Touch it.\n_target_: {PACKAGE}.look\n")
    (folder / "other.yaml").write_text(f"# Another.\n_target_: {PACKAGE}.look\npath: ???\n")
    monkeypatch.syspath_prepend(tmp_path)
    for where in (command, overrides):
        monkeypatch.setattr(where, "CONFIGS", PACKAGE)
    yield __import__(PACKAGE)
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["a/b"], (Path("a/b"), "unnamed", 1)),
        (["path=a/b"], (Path("a/b"), "unnamed", 1)),
        (["a", "b"], (Path("a"), "b", 1)),
        (["a", "times=3", "b"], (Path("a"), "b", 3)),
        (["path=a", "b"], (Path("a"), "b", 1)),
        (["2026"], (Path("2026"), "unnamed", 1)),
        (["it's {odd}, [is] it\\"], (Path("it's {odd}, [is] it\\"), "unnamed", 1)),
    ],
)
def test_words_without_a_key(module: ModuleType, words: list[str], call: tuple) -> None:
    assert cli.main(["thing", "look", *words]) == 0
    assert module.calls == [call]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["thing"], "worldmodel thing: say what to do: thing look, thing touch."),
        (["thing", "--help"], "worldmodel thing: say what to do: thing look, thing touch."),
        (
            ["thing", "lok"],
            "worldmodel thing: unknown command 'thing lok' (did you mean 'thing look'?); "
            "commands: thing look, thing touch.",
        ),
        (["thing", "look"], "worldmodel thing look: path is missing; give it as path=VALUE."),
        (
            ["thing", "look", "a", "b", "c"],
            "worldmodel thing look: 'c' is not of the form KEY=VALUE; --help lists the keys.",
        ),
        (
            ["thing", "look", "a", "tims=3"],
            "worldmodel thing look: there is no key tims (did you mean 'times'?); keys: path, name, times.",
        ),
        (["other", "a"], "worldmodel other: 'a' is not of the form KEY=VALUE; --help lists the keys."),
    ],
)
def test_mistakes_are_one_sentence(
    module: ModuleType, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr() == ("", f"{sentence}\n")


def test_help(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["thing", "look", "--help"]) == 0
    assert "usage: worldmodel thing look PATH NAME [KEY=VALUE ...]" in capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert "  thing look   Look at a thing.\n" in capsys.readouterr().out
