"""`worldmodel play bench`: how fast play is from end to end: frames over a real socket, and from key to picture."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.client import ClientConnection, connect

from worldmodel.errors import WorldModelError
from worldmodel.files import write_json
from worldmodel.machine import this_machine
from worldmodel.play.browser import Browser, find_chromium
from worldmodel.play.protocol import decode_frame
from worldmodel.progress import progress

START_SECONDS = 120.0
WARM_UP = 20  # frames


def bench(
    checkpoint: str,
    out: str = "runs/play_bench",
    seconds: float = 10.0,
    keys: int = 60,
    tabs: int = 8,
    browser: bool = True,
    threads: int | None = None,
    seed: int = 0,
) -> Path:
    """Serve `checkpoint` in a process of its own and drive it: writes play_bench.json to `out` and prints it.

    seconds: for each frame rate; keys: presses for each latency, at the world's frame rate; tabs: sessions at once in
    the shared measurement; browser: measure in Chromium, too, where it and playwright are there.
    """
    if seconds <= 0 or keys < 1 or tabs < 1:
        raise WorldModelError(
            f"seconds, keys and tabs are {seconds}, {keys} and {tabs}: give more than 0 of each."
        )
    chromium = find_chromium() if browser else None
    served = [f"checkpoint={checkpoint}", f"threads={'null' if threads is None else threads}", f"seed={seed}"]
    found: dict[str, Any] = {}
    rows = 2 * (3 if chromium is None else 5)
    with progress(total=rows, desc="play bench", unit="measurement") as bar:
        for name, real in (("dream alone", False), ("dream and simulator", True)):
            with _server([*served, f"real={str(real).lower()}"]) as address:
                row = found[name] = {}
                row["frames_per_second"] = _frames_per_second(address, seconds)
                bar.update()
                row["key_to_picture_ms"] = _summary(_latencies(address, keys, seed))
                bar.update()
                row[f"frames_per_second_each_of_{tabs}"] = _shared(address, tabs, seconds)
                bar.update()
                if chromium is not None:
                    with Browser(chromium, address) as page:
                        row["browser_frames_per_second"] = page.frames_per_second(seconds)
                        bar.update()
                        row["browser_key_to_picture_ms"] = _summary(page.latencies(keys, seed))
                        bar.update()
    path = Path(out) / "play_bench.json"
    about = {"checkpoint": checkpoint, "machine": asdict(this_machine()), "seconds": seconds, "keys": keys}
    write_json(path, {**about, "browser": chromium and Path(chromium).name, "results": found})
    print(_as_text(found))
    print(path)
    return path


@contextmanager
def _server(words: list[str]) -> Iterator[str]:
    """`worldmodel play` with these words; the address it prints."""
    command = [sys.executable, "-m", "worldmodel", "play", "open=false", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if (match := re.search(r"http://\S+", line)) is None:
            raise WorldModelError("The server did not start: see what it says above.")
        yield match.group(0)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _tab(address: str) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
    """A socket, and what it was told of the world."""
    url = f"ws://{urlsplit(address).netloc}/socket?{urlsplit(address).query}"
    with connect(url, max_size=None, compression=None, open_timeout=START_SECONDS) as connection:
        world = json.loads(connection.recv(START_SECONDS))
        if world["type"] == "error":
            raise WorldModelError(world["message"])
        yield connection, world


def _say(connection: ClientConnection, kind: str, **content: Any) -> None:
    connection.send(json.dumps({"type": kind, **content}))


def _frame(connection: ClientConnection) -> dict[str, Any]:
    """The header of the next frame."""
    while isinstance(message := connection.recv(START_SECONDS), str):
        pass
    return decode_frame(message)[0]


def _started(connection: ClientConnection, speed: float) -> dict[str, Any]:
    """Running, warm, and past any end."""
    _say(connection, "speed", factor=speed)
    _say(connection, "run", on=True)
    header: dict[str, Any] = {}
    for _ in range(WARM_UP):
        header = _running(connection)
    return header


def _running(connection: ClientConnection) -> dict[str, Any]:
    """The next frame; an episode that ends goes on."""
    header = _frame(connection)
    if not header["running"]:
        _say(connection, "run", on=True)
    return header


def _frames_per_second(address: str, seconds: float) -> float:
    """Of frames that arrived, as fast as it can."""
    with _tab(address) as (connection, _):
        return _rate(connection, _started(connection, 0.0), seconds)


def _rate(connection: ClientConnection, header: dict[str, Any], seconds: float) -> float:
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        before, header = header, _running(connection)
        count += header["t"] != before["t"]
    return round(count / (time.perf_counter() - begun), 1)


def _latencies(address: str, keys: int, seed: int) -> np.ndarray:
    """Milliseconds from sending a changed action to having the frame that was made under it, at the world's rate."""
    rng, taken = random.Random(seed), []
    with _tab(address) as (connection, world):
        _started(connection, 1.0)
        rest, seq = world["rest"], world["seq"]
        for press in range(keys):
            _wait(connection, rng.uniform(0.25, 0.5))  # as a person's keys come
            seq += 1
            values = [-1.0 if press % 2 else 1.0, *rest[1:]]
            begun = time.perf_counter()
            _say(connection, "action", values=values, seq=seq, edge=True)
            while _running(connection)["seq"] < seq:
                pass
            taken.append(1000 * (time.perf_counter() - begun))
    return np.array(taken)


def _wait(connection: ClientConnection, seconds: float) -> None:
    """Read what comes for so long, and not until a frame has: just then the engine is free, which a key cannot know."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        try:
            message = connection.recv(left)
        except TimeoutError:
            return
        if isinstance(message, bytes) and not decode_frame(message)[0]["running"]:
            _say(connection, "run", on=True)


def _shared(address: str, tabs: int, seconds: float) -> float:
    """The frame rate of each of so many sessions at once, as fast as they can: the slowest one's."""

    def one(_: int) -> float:
        with _tab(address) as (connection, _world):
            return _rate(connection, _started(connection, 0.0), seconds)

    with ThreadPoolExecutor(tabs) as pool:
        return min(pool.map(one, range(tabs)))


def _summary(milliseconds: np.ndarray) -> dict[str, float]:
    median, high = np.percentile(milliseconds, (50, 95))
    return {"median": round(float(median), 1), "p95": round(float(high), 1), "count": len(milliseconds)}


def _as_text(found: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, row in found.items():
        for what, value in row.items():
            told = f"{value['median']} (p95 {value['p95']})" if isinstance(value, dict) else str(value)
            lines.append(f"{name:<22}{what.replace('_', ' '):<36}{told}")
    return "\n".join(lines)
