"""`worldmodel play` as it is typed: begins, says where it is, ends; and what it says about mistakes."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from play_house import PlayHouse
from tiny_world import tiny_world_model

from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import save_world_model
from worldmodel.play import play as play_module
from worldmodel.play.bench import bench
from worldmodel.play.play import play


@pytest.fixture
def world(tmp_path: Path) -> str:
    folder = tmp_path / "tiny"
    with atomic_directory(folder) as temporary:
        save_world_model(tiny_world_model(max_episode_steps=None), temporary)
    return str(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_serves_until_a_signal_and_ends_cleanly(world: str, number: signal.Signals) -> None:
    if number is signal.SIGTERM and sys.platform == "win32":
        pytest.skip("there is no SIGTERM")
    words = [sys.executable, "-m", "worldmodel", "play", world, "open=false", "threads=1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        match = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{20,}", process.stdout.readline())
        assert match is not None
        with urlopen(match.group(0), timeout=60) as page:
            assert b"<canvas" in page.read()
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with PlayHouse() as house, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorldModelError, match=rf"Cannot listen on 127\.0\.0\.1, port {port} .*port=0"):
            asyncio.run(house.server.serve("127.0.0.1", port, asyncio.Event()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": 70000}, "port is 70000"),
        ({"speed": -1.0}, "speed is -1"),
        ({"sessions": 0}, "sessions is 0"),
        ({"idle_minutes": 0.0}, "idle_minutes is 0"),
        ({"history": 0}, "history is 0"),
        ({"threads": 0}, "threads is 0"),
        ({}, "There is no checkpoint at nowhere/at/all"),
    ],
)
def test_mistakes_are_one_sentence(settings: dict, words: str) -> None:
    with pytest.raises(WorldModelError, match=words):
        play("nowhere/at/all", open=False, **settings)


def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play_module.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not play_module._has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert play_module._has_screen()


@pytest.mark.slow
def test_the_bench_measures_a_real_server(world: str, tmp_path: Path) -> None:
    path = bench(world, str(tmp_path / "bench"), seconds=0.3, keys=3, tabs=2, browser=False, threads=1)
    found = json.loads(path.read_text())["results"]
    assert set(found) == {"dream alone", "dream and simulator"}
    for row in found.values():
        assert row["frames_per_second"] > 0 and row["frames_per_second_each_of_2"] > 0
        assert 0 < row["key_to_picture_ms"]["median"] <= row["key_to_picture_ms"]["p95"]
