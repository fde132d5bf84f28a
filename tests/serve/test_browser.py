"""The page in a real browser: Debian's Chromium, by Playwright."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from tests.serve.served import feed, serving

playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'rtface[browser]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("needs Chromium (apt install chromium)", allow_module_level=True)

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
MIDDLE = "([x, y]) => [...document.getElementById('view').getContext('2d').getImageData(x, y, 1, 1).data]"


def wait(page, holds):
    """Until a JavaScript expression holds; not wait_for_function, which the page's own policy forbids (eval)."""
    end = time.monotonic() + 30
    while not page.evaluate(holds):
        assert time.monotonic() < end, f"did not happen: {holds}"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.said = []
    opened.on("console", lambda message: opened.said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    yield opened
    opened.close()


def test_the_picture_moves_and_layers_toggle(page):
    with serving() as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "document.getElementById('view').width === 320")
        first = page.evaluate(MIDDLE, [10, 10])
        wait(page, f"(() => {{ const now = ({MIDDLE})([10, 10]); return Math.abs(now[0] - {first[0]}) > 12; }})()")
        assert abs(first[1] - 80) < 6  # blue 40, green 80, red moves

        wait(page, "latest?.faces.length === 1")
        page.get_by_role("button", name="Pause").click()
        page.wait_for_timeout(300)
        x, y = page.evaluate("latest.faces[0].box_px.slice(0, 2).map(Math.round)")
        with_box = page.evaluate(MIDDLE, [x, y + 40])
        page.get_by_role("checkbox", name="Boxes").uncheck()
        without = page.evaluate(MIDDLE, [x, y + 40])
        assert with_box != without
        page.get_by_role("checkbox", name="Picture").uncheck()
        assert page.evaluate(MIDDLE, [10, 10])[:3] == [7, 9, 13]
        assert page.said == []


def test_what_is_told_fills_in(page):
    with serving() as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "timeline.data[0].length > 10")
        wait(page, "document.querySelectorAll('#events li').length >= 3")
        assert "came" in page.locator("#events").inner_text()
        wait(page, "document.getElementById('looking').textContent === '1'")
        wait(page, "document.querySelectorAll('#faces li b').length === 1")
        assert "made" in page.locator("#cameras").inner_text()
        assert page.locator("#timeline canvas").count() == 1
        assert page.said == []


def test_the_budget_is_changed_from_the_keyboard(page):
    with serving() as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "document.getElementById('budget-value').textContent === 'none'")
        page.get_by_label("Latency budget").focus()
        page.keyboard.press("ArrowLeft")
        wait(page, "document.getElementById('budget-value').textContent === '200 ms'")
        wait(page, "timeline.budget === 200")
        assert served.updates == [{"budget_ms": 200}]


def test_the_page_comes_back_when_the_server_does(page):
    with serving() as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "latest !== null")
        port = served.port
    wait(page, "document.getElementById('state').textContent === 'reconnecting'")
    page.evaluate("latest = null")
    with serving(port=port):
        wait(page, "latest !== null")
        assert page.locator("#state").inner_text() == "live"


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(browser, size, scheme, tmp_path):
    opened = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    with serving() as served:
        opened.goto(f"http://127.0.0.1:{served.port}/")
        wait(opened, "latest !== null")
        assert opened.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert opened.locator("#stage").bounding_box()["y"] < size[1] / 4
        opened.screenshot(path=tmp_path / "page.png")
    opened.close()


def test_everything_can_be_reached_and_has_a_name(page):
    with serving() as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "document.querySelectorAll('#layers input').length === 6")
        names = page.evaluate(
            "[...document.querySelectorAll('input, select, button, #view, [role]')].map(one => one.ariaLabel"
            " || one.labels?.[0]?.innerText || one.innerText || (one.id === 'events' ? '' : one.id))"
        )
        assert all(names)
        assert page.evaluate("document.documentElement.lang") == "en"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "To the picture"


def test_aggregate_mode_shows_no_picture(page):
    with serving(privacy="aggregate") as served:
        page.goto(f"http://127.0.0.1:{served.port}/")
        wait(page, "document.getElementById('veil').textContent.includes('no picture leaves')")
        assert "aggregate" in page.locator("#privacy").inner_text()
        assert page.said == []


def test_several_cameras_are_shown_side_by_side(page):
    with serving() as served:
        stop = threading.Event()
        second = threading.Thread(target=feed, args=(served.hub, stop, "yard"), daemon=True)
        second.start()
        try:
            page.goto(f"http://127.0.0.1:{served.port}/")
            wait(page, "wall.size === 2")
            wait(page, "document.getElementById('view').width === 2 * TILE")
            left, right = page.evaluate(MIDDLE, [10, 60]), page.evaluate(MIDDLE, [650, 60])
            assert abs(left[1] - 80) < 6 and abs(right[1] - 80) < 6  # both show their picture
            wait(page, "document.querySelectorAll('#faces li b').length === 2")
            assert {"made #1", "yard #1"} == set(page.locator("#faces b").all_inner_texts())
            page.locator("#camera").select_option("yard")
            wait(page, "document.getElementById('view').width === 320 && latest.camera === 'yard'")
            assert page.said == []
        finally:
            stop.set()
            second.join(5)
