"""A real browser on the real page: what is pressed changes what is seen."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from play_house import PlayHouse
from tiny_world import tiny_world_model

from worldmodel.play.bench import find_chromium

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright drives the browser: pip install playwright"
)
CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: apt install chromium")

PIXELS = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 16, 16).data)"
SECONDS = 30_000  # in which anything must happen here


@pytest.fixture(scope="module")
def house() -> Iterator[PlayHouse]:
    with PlayHouse(tiny_world_model(max_episode_steps=None, size=16), sessions=64, speed=4.0) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(house: PlayHouse, browser: Any) -> Iterator[Any]:
    yield from opened(house, browser)


def opened(house: PlayHouse, browser: Any, **options: Any) -> Iterator[Any]:
    """The page in a window of its own; whatever it complains of fails the test."""
    context = browser.new_context(**({"viewport": {"width": 1100, "height": 900}} | options))
    page, complaints = context.new_page(), []
    page.set_default_timeout(SECONDS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(house.address)
    page.wait_for_selector("body[data-connected=true]")
    yield page
    context.close()
    assert not [c for c in complaints if "WebSocket connection" not in c], complaints


def header(page: Any) -> dict[str, Any]:
    return json.loads(page.evaluate("JSON.stringify(window.play.state.header)"))


def until(page: Any, condition: str) -> None:
    """`condition` is of the last frame's header h."""
    wait(page, f"(() => {{ const h = window.play.state.header; return {condition}; }})()")


def wait(page: Any, condition: str) -> None:
    """Playwright's own wait_for_function needs eval, which the page's security policy forbids."""
    until_true(page, lambda: page.evaluate(condition))


def picture(page: Any, name: str = "dream") -> int:
    return zlib.crc32(bytes(page.evaluate(PIXELS, name)))


def drive_to(page: Any, t: int, key: str) -> None:
    """Hold a key until moment t, and pause there or shortly after."""
    page.keyboard.down(key)
    until(page, f"h.t >= {t}")
    page.keyboard.press("Space")
    page.keyboard.up(key)
    settle(page)


def settle(page: Any) -> None:
    """Until it stands still: the page says so at once, and frames that were on their way come after."""
    until(page, "!h.running")
    before = None
    while before != (before := header(page)["t"]):
        page.wait_for_timeout(250)


def until_true(page: Any, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS / 1000
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(15)


def until_action(page: Any, session: Any, action: list[float]) -> None:
    """None before the first step."""
    until_true(page, lambda: np.array_equal(session.now.now.action, action))


def steps(page: Any, count: int) -> None:
    t = header(page)["t"]
    for k in range(count):
        page.keyboard.press("n")
        until(page, f"h.t === {t + k + 1}")


def test_keys_drive_dream_and_reality(page: Any) -> None:
    before = picture(page), picture(page, "real")
    drive_to(page, 4, "ArrowRight")
    right = picture(page), picture(page, "real")
    assert right[0] != before[0] and right[1] != before[1], "both panels move"
    assert picture(page, "difference") != 0
    page.keyboard.press("r")
    until(page, "h.t === 0 && h.seed === 1")
    page.fill("#seed", "0")
    page.keyboard.press("Enter")
    until(page, "h.t === 0 && h.seed === 0")
    page.evaluate("document.activeElement.blur()")
    assert (picture(page), picture(page, "real")) == before
    page.keyboard.down("ArrowLeft")
    until(page, "h.t >= 4")
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("Space")
    settle(page)
    assert picture(page) != right[0]


def test_held_keys_are_lit_and_reach_the_action(page: Any, house: PlayHouse) -> None:
    identity = page.evaluate("sessionStorage.getItem('session')")
    session = house.server.tabs[identity].session
    page.keyboard.press("Space")
    page.keyboard.down("d")
    page.wait_for_selector("#keys .key.down")
    until_action(page, session, [1.0, 0.0])
    page.keyboard.down("ArrowUp")
    until_action(page, session, [1.0, 1.0])
    page.keyboard.up("d")
    page.keyboard.up("ArrowUp")
    until_action(page, session, [0.0, 0.0])
    assert page.inner_text("#latency").startswith("key to picture")


def test_rewinding_shows_the_exact_frame_and_a_branch_differs(page: Any) -> None:
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    settle(page)
    shown = {}
    page.keyboard.down("ArrowRight")
    for _ in range(6):
        steps(page, 1)
        shown[header(page)["t"]] = picture(page), picture(page, "real")
    page.keyboard.up("ArrowRight")
    last = header(page)["t"]
    for t in range(last - 1, last - 6, -1):
        page.keyboard.press(",")
        until(page, f"h.t === {t}")
        assert (picture(page), picture(page, "real")) == shown[t]
    page.keyboard.press("b")
    until(page, "h.futures.length === 2 && h.driven === 1")
    page.keyboard.down("ArrowLeft")
    page.keyboard.down("ArrowDown")
    page.wait_for_timeout(200)
    steps(page, 4)
    page.keyboard.up("ArrowLeft")
    page.keyboard.up("ArrowDown")
    t = header(page)["t"]
    branched = picture(page), picture(page, "real")
    assert branched[0] != shown[t][0] and branched[1] != shown[t][1]
    assert page.locator("#futures canvas").count() == 2
    page.keyboard.press("v")
    until(page, "h.driven === 0")
    assert (picture(page), picture(page, "real")) == shown[t]
    page.locator("#futures button").nth(1).click()
    until(page, "h.driven === 1")
    assert (picture(page), picture(page, "real")) == branched
    page.click("#drop")
    until(page, "h.futures.length === 1")
    assert page.locator("#drop").is_disabled()


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_a_recording_is_downloaded_and_plays(page: Any, tmp_path: Path, format: str) -> None:
    page.select_option("#format", format)
    steps(page, 2)
    page.click("#record")
    until(page, "h.recording === 2")
    steps(page, 3)
    with page.expect_download() as download:
        page.click("#record")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == f"tiny.{format}"
    frames = imageio.imread(path, index=None)
    assert 4 <= len(frames) <= 12 and frames.shape[2] > 600


def test_a_dropped_socket_comes_back_to_the_same_session(page: Any, house: PlayHouse) -> None:
    drive_to(page, 5, "ArrowRight")
    before, session = (header(page), picture(page)), page.evaluate("sessionStorage.getItem('session')")
    page.keyboard.down("ArrowRight")
    driven = house.server.tabs[session].session
    until_true(page, lambda: driven._encoded.any())
    page.context.set_offline(True)
    house.wait_for(house.server.tabs[session].socket.close(1011))
    page.wait_for_selector("#status.bad")
    assert "trying again" in page.inner_text("#status")
    page.keyboard.up("ArrowRight")
    page.context.set_offline(False)
    page.wait_for_selector("body[data-connected=true]")
    until(page, f"h.t === {before[0]['t']}")
    assert picture(page) == before[1]
    until_true(page, lambda: not driven._encoded.any())  # a key that was released meanwhile
    steps(page, 1)
    page.reload()
    page.wait_for_selector("body[data-connected=true]")
    until(page, f"h.t === {before[0]['t'] + 1}")
    assert page.evaluate("sessionStorage.getItem('session')") == session
    assert page.evaluate("window.play.plots.curves.reward.length") >= 6, "the curves are back, too"


def test_everything_is_reached_by_the_keyboard_and_says_so(page: Any) -> None:
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className || 'body'"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    wanted = {"run", "step", "branch", "agent", "reset", "seed", "context", "picture", "passes", "speed"}
    wanted |= {"record", "save", "format", "key"}
    assert wanted <= reached, wanted - reached
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("+")
    until(page, "h.passes === 3")
    page.keyboard.press("m")
    until(page, "h.agent && h.running && h.t > 2")
    page.keyboard.press("ArrowRight")
    until(page, "!h.agent")
    page.keyboard.press("Space")
    settle(page)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input:not([hidden]), select, canvas')].filter(e => !(e.ariaLabel ||"
        " e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_own_pictures_begin_a_dream(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    imageio.imwrite(path, np.full((50, 70, 3), (10, 200, 30), np.uint8))
    page.set_input_files("#file", str(path))
    page.wait_for_selector("#panel-real", state="hidden")
    assert page.evaluate(PIXELS, "dream")[:4] == [10, 200, 30, 255]
    assert "no simulator can begin there" in page.inner_text("#real-note")
    path.write_text("not a picture")
    page.set_input_files("#file", str(path))
    wait(page, "document.getElementById('status').textContent.includes('no picture')")
    steps(page, 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(house: PlayHouse, browser: Any, scheme: str) -> None:
    settings = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "color_scheme": scheme}
    for page in opened(house, browser, **settings):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads(f"[{paper[4:-1]}]")) < 200) == (scheme == "dark"), paper
        box = page.locator("#stick").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=3)
        until(page, "h.running && h.t >= 3")
        page.mouse.up()
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 32).length"
        )
        assert small == 0, "too small for a finger"


def test_without_the_token_the_browser_is_told_what_to_do(house: PlayHouse, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"http://{house.host}/")
    assert "open the address that was printed" in page.inner_text("body")
    page.close()


def test_where_all_places_are_taken_the_page_goes_on_saying_so(browser: Any) -> None:
    with PlayHouse(sessions=1) as full:
        client, page = full.client(), browser.new_page()
        page.add_init_script(
            "const later = setTimeout; window.setTimeout = (what, ms) => later(what, ms / 40);"
        )
        page.goto(full.address)
        page.wait_for_selector("#status.bad")
        page.wait_for_timeout(600)  # the page's eight seconds are over
        assert "places are taken" in page.inner_text("#status")
        page.close()
        client.close()
