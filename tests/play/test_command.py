"""`worldmodel play` as it is typed: begins, says where it is, ends; and what it says about mistakes."""

import asyncio
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
