"""`worldmodel play`: the dream in the browser, driven by hand beside reality."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.model.checkpoint import load_world_model
from worldmodel.play.access import LOOPBACK
from worldmodel.play.protocol import FASTEST
from worldmodel.play.server import PlayServer, Settings
from worldmodel.play.ticker import ModelThread
from worldmodel.zoo import PREFIX


def play(
    checkpoint: str,
    policy: Mapping[str, Any] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    open: bool = True,
    real: bool = True,
    speed: float = 1.0,
    seed: int = 0,
    sessions: int = 16,
    idle_minutes: float = 30.0,
    history: int = 600,
    threads: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; prints its address, with the token in it.

    policy: config of the agent that may drive; host: other machines reach it with host=0.0.0.0, and whoever has the
    token may drive; port: 0 for a free one; threads: of torch, null for what is fastest here.
    """
    _check(port, speed, sessions, idle_minutes, history, threads)
    model = load_world_model(checkpoint, chosen_device(device), precision)
    settings = Settings(
        name=Path(checkpoint.removeprefix(PREFIX)).name or "world",
        policy=policy,
        real=real,
        idle_minutes=idle_minutes,
        sessions=sessions,
        seed=seed,
        speed=speed,
        history=history,
    )
    model_thread = ModelThread(model, threads)
    try:
        asyncio.run(
            _until_stopped(PlayServer(model_thread, settings, secrets.token_urlsafe(16)), host, port, open)
        )
    finally:
        model_thread.close()


async def _until_stopped(server: PlayServer, host: str, port: int, browser: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":  # there, Ctrl-C interrupts asyncio.run by itself
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    def ready(address: str) -> None:
        print(f"Open {address}\n(Ctrl-C ends it)", flush=True)
        if host not in LOOPBACK:
            print("Whoever has this address can drive; it is not encrypted.", flush=True)
        if browser and _has_screen():
            loop.run_in_executor(None, webbrowser.open, address)

    await server.serve(host, port, stop, ready)


def _has_screen() -> bool:
    """Elsewhere webbrowser would open one for text, in this very terminal."""
    return sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _check(
    port: int, speed: float, sessions: int, idle_minutes: float, history: int, threads: int | None
) -> None:
    for name, value, fits, wanted in (
        ("port", port, 0 <= port <= 65535, "a port from 0 to 65535"),
        ("speed", speed, speed == 0 or 0.05 <= speed <= FASTEST, f"0 or a number from 0.05 to {FASTEST:.0f}"),
        ("sessions", sessions, sessions >= 1, "at least 1"),
        ("idle_minutes", idle_minutes, idle_minutes > 0, "more than 0"),
        ("history", history, history >= 1, "at least 1"),
        ("threads", threads, threads is None or threads >= 1, "at least 1, or null"),
    ):
        if not fits:
            raise WorldModelError(f"{name} is {value}: give {wanted}.")
