"""The doctor finishes on any machine, says the same on screen and in JSON, and names a remedy for what is missing."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from worldmodel import doctor
from worldmodel.cli import main


@pytest.fixture(autouse=True)
def no_gl_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probing starts three processes that draw; one test does it, the others need not."""
    monkeypatch.setattr(doctor, "_PROBE_GL", 'print(\'{"egl": "ok", "osmesa": "no library; install it"}\')')


def test_command_prints_what_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "doctor.json"
    assert main(["doctor", f"json={file}"]) == 0
    printed = capsys.readouterr().out
    sections = json.loads(file.read_text())["sections"]
    for item in (item for section in sections.values() for item in section):
        assert item["name"] in printed
        assert item["found"] is None or item["found"] in printed
    assert {"system", "torch", "drawing", "packages", "extras"} == set(sections)
    assert [item["found"] is None for item in sections["packages"]] == [False] * len(sections["packages"])


def test_every_missing_thing_has_a_remedy() -> None:
    missing = [item for section in doctor.examine().values() for item in section if item.found is None]
    assert all(item.remedy for item in missing), missing
    assert doctor.Finding("OpenGL osmesa", None, "no library; install it") in missing


def test_missing_package_says_how_to_install_it() -> None:
    finding = doctor._package("no-such-distribution", "pip install it")
    assert finding == doctor.Finding("no-such-distribution", None, "pip install it")
    assert "no-such-distribution  missing; pip install it" in doctor.as_text({"extras": [finding]})


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("raise ImportError('no libEGL')", "probing it failed: ImportError: no libEGL"),
        ("import os; os.abort()", "probing it failed: exit code -6"),
    ],
)
def test_a_crash_in_gl_is_a_finding(monkeypatch: pytest.MonkeyPatch, code: str, remedy: str) -> None:
    """glfw aborts the whole process where there is no display."""
    monkeypatch.setattr(doctor, "_PROBE_GL", code)
    assert doctor._gl() == [doctor.Finding("OpenGL", None, remedy)]


def test_broken_torch_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without_torch(name: str, *rest: Any, **named: Any) -> Any:
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file")
        return load(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    (finding,) = doctor._torch()
    assert finding.found is None and "libtorch.so" in finding.remedy


def test_gl_is_probed_by_the_environments_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [item.name for item in doctor._gl()]
    assert names == ["OpenGL egl", "OpenGL osmesa", "OpenGL glfw"]
