"""`worldmodel play bench`: how fast play is from end to end: frames over a real socket, and from key to picture."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.client import ClientConnection, connect

from worldmodel.errors import WorldModelError
from worldmodel.files import write_json
from worldmodel.machine import this_machine
from worldmodel.play.protocol import decode_frame
from worldmodel.progress import progress

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_SECONDS = 120.0
WARM_UP = 20  # frames
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# On the page: also past the end of an episode.
_GO_ON = "window.play.state.header.running || window.play.run(true)"


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
    settings = [
        f"checkpoint={checkpoint}",
        f"threads={'null' if threads is None else threads}",
        f"seed={seed}",
    ]
    results: dict[str, dict[str, Any]] = {}
    with progress(total=2 * (3 if chromium is None else 5), desc="play bench", unit="measurement") as bar:
        for name, real in (("dream alone", False), ("dream and simulator", True)):
            row = results[name] = {}
            with served([*settings, f"real={str(real).lower()}"]) as address:
                for key, value in _measurements(address, chromium, seconds, keys, tabs, seed):
                    row[key] = value
                    bar.update()
    path = Path(out) / "play_bench.json"
    about = {"checkpoint": checkpoint, "machine": asdict(this_machine()), "seconds": seconds, "keys": keys}
    write_json(path, {**about, "browser": chromium and Path(chromium).name, "results": results})
    for name, row in results.items():
        for key, value in row.items():
            text = f"{value['median']} (p95 {value['p95']})" if isinstance(value, dict) else str(value)
            print(f"{name:<22}{key.replace('_', ' '):<36}{text}")
    print(path)
    return path


def _measurements(
    address: str, chromium: str | None, seconds: float, keys: int, tabs: int, seed: int
) -> Iterator[tuple[str, Any]]:
    yield "frames_per_second", _frames_per_second(address, seconds)
    yield "key_to_picture_ms", _summary(_latencies(address, keys, seed))
    with ThreadPoolExecutor(tabs) as pool:  # as fast as they can, the slowest one's
        rates = pool.map(_frames_per_second, [address] * tabs, [seconds] * tabs)
        yield f"frames_per_second_each_of_{tabs}", min(rates)
    if chromium is not None:
        with page_in(chromium, address) as page:
            yield "browser_frames_per_second", page_frames_per_second(page, seconds)
            yield "browser_key_to_picture_ms", _summary(_page_latencies(page, keys, seed))


@contextmanager
def served(settings: list[str]) -> Iterator[str]:
    """`worldmodel play` with these settings in a process of its own; the address it prints."""
    command = [sys.executable, "-m", "worldmodel", "play", "open=false", *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if (match := re.search(r"http://\S+", process.stdout.readline())) is None:
                raise WorldModelError("The server did not start: see what it says above.")
            yield match.group(0)
        finally:
            process.terminate()


def _summary(milliseconds: np.ndarray) -> dict[str, float]:
    median, high = np.percentile(milliseconds, (50, 95))
    return {"median": round(float(median), 1), "p95": round(float(high), 1), "count": len(milliseconds)}


# Over a socket.


class Client:
    """A socket of the page at `address`; a context manager. world: its first message; header, pictures: of the last
    frame; session: of a tab to come back to; options: of websockets' connect."""

    def __init__(self, address: str, session: str = "", **options: Any) -> None:
        parts = urlsplit(address)
        url = f"ws://{parts.netloc}/socket?{parts.query}&session={session}"
        settings = {"max_size": None, "compression": None, "open_timeout": START_SECONDS} | options
        self.socket: ClientConnection = connect(
            url, **settings
        ).__enter__()  # newer versions connect only there
        self.header: dict[str, Any] = {}
        self.pictures: list[np.ndarray] = []
        self.world = self.read()
        if self.world["type"] == "error":
            self.close()
            raise WorldModelError(self.world["message"])

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye."""
        self.socket.close()

    def send(self, kind: str, **content: Any) -> None:
        """A command."""
        self.socket.send(json.dumps({"type": kind, **content}))

    def read(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The next message, or the header of the next frame. Raises TimeoutError after so many seconds."""
        message = self.socket.recv(max(0.0, seconds))
        if isinstance(message, str):
            return json.loads(message)
        self.header, self.pictures = decode_frame(message)
        return self.header

    def frame(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The header of the next frame."""
        until = time.perf_counter() + seconds
        while (content := self.read(until - time.perf_counter()))["type"] != "frame":
            pass
        return content


def _running_frame(client: Client, seconds: float = START_SECONDS) -> dict[str, Any]:
    """The next frame; an episode that ends goes on."""
    header = client.frame(seconds)
    if not header["running"]:
        client.send("run", on=True)
    return header


def _start(client: Client, speed: float) -> dict[str, Any]:
    """Run, until warm; the last frame."""
    client.send("speed", factor=speed)
    client.send("run", on=True)
    return [_running_frame(client) for _ in range(WARM_UP)][-1]


def _frames_per_second(address: str, seconds: float) -> float:
    """Frames that arrive, as fast as the server can."""
    with Client(address) as client:
        t, count = _start(client, 0.0)["t"], 0
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            before, t = t, _running_frame(client)["t"]
            count += t != before
        return round(count / (time.perf_counter() - begun), 1)


def _latencies(address: str, keys: int, seed: int) -> np.ndarray:
    """Milliseconds from sending a changed action to having the frame that was made under it, at the world's rate."""
    rng, taken = random.Random(seed), []
    with Client(address) as client:
        _start(client, 1.0)
        for press in range(keys):
            # As a person's keys come. Not when a frame has come: just then the model is idle, which a key cannot know.
            until = time.perf_counter() + rng.uniform(0.25, 0.5)
            with suppress(TimeoutError):
                while (left := until - time.perf_counter()) > 0:
                    _running_frame(client, left)
            seq = client.world["seq"] + 1 + press
            values = [-1.0 if press % 2 else 1.0, *client.world["rest"][1:]]
            begun = time.perf_counter()
            client.send("action", values=values, seq=seq, edge=True)
            while _running_frame(client)["seq"] < seq:
                pass
            taken.append(1000 * (time.perf_counter() - begun))
    return np.array(taken)


# In a browser.


def find_chromium() -> str | None:
    """Chromium's program on the path, where it and playwright are there; else None."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@contextmanager
def page_in(program: str, address: str) -> Iterator[Page]:
    """The page at `address` in Chromium. Raises WorldModelError where it does not connect."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        try:
            page.goto(address)
            page.wait_for_selector("body[data-connected=true]", timeout=60_000)
        except Error as error:
            raise WorldModelError(
                "The page does not connect in the browser: try without it, browser=false."
            ) from error
        yield page
        browser.close()


def page_frames_per_second(page: Page, seconds: float) -> float:
    """Frames that are drawn, as fast as the server can."""
    page.select_option("#speed", "0")
    page.evaluate(f"window.going = setInterval(() => {{ {_GO_ON} }}, 10)")
    page.wait_for_timeout(1000)
    now = "[window.play.state.drawn, performance.now()]"
    before, begun = page.evaluate(now)
    page.wait_for_timeout(1000 * seconds)
    after, ended = page.evaluate(now)
    page.evaluate("clearInterval(window.going)")
    return round((after - before) / (ended - begun) * 1000, 1)


def _page_latencies(page: Page, keys: int, seed: int) -> np.ndarray:
    """Milliseconds from the key's event to the picture on its canvas, as the page measures them."""
    page.select_option("#speed", "1")
    page.evaluate(_GO_ON)
    rng = random.Random(seed)
    page.evaluate("window.play.state.latencies.length = 0")
    for _ in range(keys):
        key = rng.choice(["ArrowLeft", "ArrowRight", "1", "2"])
        for press in (page.keyboard.down, page.keyboard.up):
            press(key)
            page.wait_for_timeout(rng.uniform(250, 500))
        page.evaluate(_GO_ON)
    return np.array(page.evaluate("window.play.state.latencies"))
