"""The page in a real browser without a screen, measured from outside."""

from __future__ import annotations

import random
import shutil
from types import TracebackType
from typing import Any

import numpy as np

from worldmodel.errors import WorldModelError

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_READY_MS = 60_000
_GO_ON = "window.play.state.header.running || window.play.run(true)"  # past the end of an episode, too


def find_chromium() -> str | None:
    """Chromium's program on the path, where it and playwright are there; else None."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """A context manager: the page at `address`, running. Raises WorldModelError where it does not connect."""

    def __init__(self, program: str, address: str) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        self._page = self._browser.new_page(viewport={"width": 1100, "height": 900})
        self._address = address

    def __enter__(self) -> Browser:
        from playwright.sync_api import Error

        try:
            self._page.goto(self._address)
            self._page.wait_for_selector("body[data-connected=true]", timeout=_READY_MS)
        except Error as error:
            self.__exit__(None, None, None)
            raise WorldModelError(
                "The page does not connect in the browser: try without it, browser=false."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()

    def frames_per_second(self, seconds: float) -> float:
        """Of frames that were drawn, as fast as it can."""
        self._page.select_option("#speed", "0")
        self._page.evaluate(f"window.going = setInterval(() => {{ {_GO_ON} }}, 10)")
        self._page.wait_for_timeout(1000)
        count = "window.play.state.drawn"
        before, begun = self._now(count)
        self._page.wait_for_timeout(1000 * seconds)
        after, ended = self._now(count)
        self._page.evaluate("clearInterval(window.going)")
        return round((after - before) / (ended - begun) * 1000, 1)

    def latencies(self, keys: int, seed: int) -> np.ndarray:
        """Milliseconds from the key's event to the picture on its canvas, as the page measures them."""
        self._page.select_option("#speed", "1")
        self._run()
        rng = random.Random(seed)
        self._page.evaluate("window.play.state.latencies.length = 0")
        for _ in range(keys):
            key = rng.choice(["ArrowLeft", "ArrowRight", "1", "2"])
            self._page.keyboard.down(key)
            self._page.wait_for_timeout(rng.uniform(250, 500))
            self._page.keyboard.up(key)
            self._page.wait_for_timeout(rng.uniform(250, 500))
            self._run()
        return np.array(self._page.evaluate("window.play.state.latencies"))

    def _run(self) -> None:
        """Past any end."""
        self._page.evaluate(_GO_ON)

    def _now(self, count: str) -> tuple[float, float]:
        found: Any = self._page.evaluate(f"[{count}, performance.now()]")
        return found[0], found[1]
