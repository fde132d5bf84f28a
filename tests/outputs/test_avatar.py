"""A VRM head in a browser, moved over VMC: @pixiv/three-vrm in Chromium.

Needs apt's chromium, pip's playwright, and AVATAR_NODE_MODULES, a folder that ``npm install three @pixiv/three-vrm``
made.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rtface.outputs.output_url import parse_output_url
from rtface.outputs.vmc import VmcSink
from rtface.types import Gaze
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import wait_for

MODULES = Path(os.environ.get("AVATAR_NODE_MODULES", "node_modules"))
if not (MODULES / "@pixiv" / "three-vrm").is_dir():
    pytest.skip("needs npm's three and @pixiv/three-vrm in AVATAR_NODE_MODULES", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'rtface[browser]'")
pytest.importorskip("pythonosc", reason="needs python-osc (pip install 'rtface[osc]')")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs chromium (apt install chromium)", allow_module_level=True)

OPEN_MOUTH = dict.fromkeys((61, 62, 63), (0.0, -8.0)) | dict.fromkeys((65, 66, 67), (0.0, 8.0))
LEFT_BLINK = {43: (0.0, 4.2), 44: (0.0, 4.2), 46: (0.0, -3.0), 47: (0.0, -3.0)}


def vrm() -> dict[str, Any]:
    """A VRM 1 of bones alone; the page puts a face on its head."""
    nodes: list[dict[str, Any]] = []
    human: dict[str, dict[str, int]] = {}

    def bone(name: str, parent: int | None, *place: float) -> int:
        nodes.append({"name": name, "translation": list(place)})
        human[name] = {"node": len(nodes) - 1}
        if parent is not None:
            nodes[parent].setdefault("children", []).append(len(nodes) - 1)
        return len(nodes) - 1

    hips = bone("hips", None, 0, 0.9, 0)
    chest = bone("chest", bone("spine", hips, 0, 0.15, 0), 0, 0.15, 0)
    head = bone("head", bone("neck", chest, 0, 0.25, 0), 0, 0.09, 0)
    for side, sign in (("left", 1), ("right", -1)):
        bone(f"{side}Eye", head, 0.045 * sign, 0.13, 0.105)
        lower_arm = bone(f"{side}LowerArm", bone(f"{side}UpperArm", chest, 0.15 * sign, 0.2, 0), 0.25 * sign, 0, 0)
        bone(f"{side}Hand", lower_arm, 0.25 * sign, 0, 0)
        lower_leg = bone(f"{side}LowerLeg", bone(f"{side}UpperLeg", hips, 0.1 * sign, 0, 0), 0, -0.4, 0)
        bone(f"{side}Foot", lower_leg, 0, -0.4, 0)
    names = ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight", "happy", "angry", "sad", "surprised")
    meta = {"name": "head", "authors": ["rtface"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    extension = {
        "specVersion": "1.0",
        "meta": meta,
        "humanoid": {"humanBones": human},
        "expressions": {"preset": {name: {"isBinary": False} for name in names}},
    }
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [hips]}],
        "nodes": nodes,
        "extensionsUsed": ["VRMC_vrm"],
        "extensions": {"VRMC_vrm": extension},
    }


class Bridge:
    """VMC's datagrams, read by python-osc, to the page's WebSocket: browsers have no UDP."""

    def __init__(self) -> None:
        from websockets.sync.server import serve

        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(0.2)
        self.vmc_port = self.udp.getsockname()[1]
        self.server = serve(self._pass_on, "127.0.0.1", 0)
        self.port = self.server.socket.getsockname()[1]
        self.over = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _pass_on(self, page: Any) -> None:
        from pythonosc.osc_bundle import OscBundle

        while not self.over.is_set():
            try:
                messages = list(OscBundle(self.udp.recv(65536)))
            except TimeoutError:
                continue
            bones = {one.params[0]: one.params[4:8] for one in messages if one.address == "/VMC/Ext/Bone/Pos"}
            blend = {one.params[0]: one.params[1] for one in messages if one.address == "/VMC/Ext/Blend/Val"}
            page.send(json.dumps({"bones": bones, "blend": blend}))

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.udp.close()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Any, Bridge]]:
    shutil.copy(Path(__file__).parent / "avatar" / "page.html", tmp_path)
    (tmp_path / "head.gltf").write_text(json.dumps(vrm()))
    (tmp_path / "node_modules").symlink_to(MODULES.resolve())
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    bridge = Bridge()
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        one = browser.new_page(viewport={"width": 640, "height": 480})
        one.goto(f"http://127.0.0.1:{web.server_address[1]}/page.html#{bridge.port}")
        one.wait_for_function("window.ready", timeout=60_000)
        yield one, bridge
        browser.close()
    bridge.close()
    web.shutdown()
    web.server_close()


def test_a_head_in_a_browser_moves_as_the_person_does(page: tuple[Any, Bridge], tmp_path: Path) -> None:
    tab, bridge = page
    with VmcSink(parse_output_url(f"vmc://127.0.0.1:{bridge.vmc_port}?clips=vrm1")) as sink:
        sink.beat_s = None
        sink.open(a_run())

        def shown(index: int, **face: Any) -> dict[str, Any]:
            before = tab.evaluate("window.seen.count")
            sink.write(a_result(a_face(**face), index=index))
            wait_for(lambda: tab.evaluate("window.seen.count") > before)
            found: dict[str, Any] = tab.evaluate("window.seen")
            return found

        # The page's axes: x to the right of the screen, which is the avatar's left, y up, z towards who looks at it.
        assert shown(0)["looks"] == pytest.approx([0.0, 0.0, 1.0], abs=0.01)
        assert shown(1, pose=(30.0, 0.0, 0.0))["looks"] == pytest.approx([0.5, 0.0, 0.866], abs=0.01)
        assert shown(2, pose=(0.0, 30.0, 0.0))["looks"] == pytest.approx([0.0, 0.5, 0.866], abs=0.01)
        assert shown(3, pose=(0.0, 0.0, 30.0))["up"] == pytest.approx([0.5, 0.866, 0.0], abs=0.01)
        # Whoever looks into the camera is looked at by the avatar, wherever the head points.
        face = shown(5, pose=(25.0, 10.0, 5.0), gaze=Gaze(0.0, 0.0, 1.0))
        assert face["sight"] == pytest.approx([0.0, 0.0, 1.0], abs=0.01) and face["looks"][0] > 0.4
        face = shown(6, gaze=Gaze(30.0, 0.0, 0.0))
        assert face["sight"] == pytest.approx([0.5, 0.0, 0.866], abs=0.01)
        assert face["looks"] == pytest.approx([0.0, 0.0, 1.0], abs=0.01)
        face = shown(7, pose=(25.0, 0.0, 0.0), moved=OPEN_MOUTH | LEFT_BLINK, gaze=Gaze(0.0, 0.0, 1.0))
        assert face["happy"] == pytest.approx(0.7, abs=0.01) and face["aa"] > 0.4 and face["blinkLeft"] > 0.5
        tab.screenshot(path=str(tmp_path / "avatar.png"))
        if "AVATAR_SCREENSHOT" in os.environ:
            shutil.copy(tmp_path / "avatar.png", os.environ["AVATAR_SCREENSHOT"])
