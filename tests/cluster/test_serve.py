"""``rtface serve --ray``: the page's server on cameras that are analysed elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("uvicorn", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("prometheus_client", reason="needs pip install 'rtface[serve]'")

from rtface.cli.serve import serve
from rtface.cluster.actors import Placement
from rtface.options import Options
from rtface.serve.server import OnCluster, ServeOptions, Serving
from tests.conftest import Cli

CAMERAS = """
[door]
source = "demo"
loop = true

[hall]
source = "demo"
loop = true
"""


def wait_for(happened: Callable[[], Any], seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.1)
    return found


def test_the_page_tells_of_cameras_elsewhere_and_switches_them(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text(CAMERAS)
    options = Options(tasks=("pose",), audience=True, threads=1)
    elsewhere = OnCluster("auto", Placement(cameras=1))
    how: dict[str, Any] = {"cameras": tmp_path / "cameras.toml", "outputs": [str(tmp_path / "all.jsonl")]}
    with Serving([], options, ServeOptions(port=0), cluster=elsewhere, **how) as served:
        root = f"http://127.0.0.1:{served.port}"

        def get(path: str) -> Any:
            with urlopen(root + path, timeout=20) as answer:
                return json.loads(answer.read())

        def up() -> dict[str, bool]:
            return {one["name"]: one["up"] for one in get("/api/v1/cameras")}

        wait_for(lambda: up() == {"door": True, "hall": True})
        result = wait_for(lambda: get("/api/v1/result?camera=hall"))
        assert result["camera"] == "hall"
        with urlopen(root + "/api/v1/snapshot.jpg?camera=hall", timeout=20) as answer:
            picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape[1] == result["width_px"] and picture.std() > 20
        with urlopen(root + "/metrics", timeout=20) as answer:
            assert 'camera="door"' in answer.read().decode()
        body = json.dumps({"enabled": False}).encode()
        switch = Request(f"{root}/api/v1/cameras/door", body, {"content-type": "application/json"}, method="PATCH")
        with urlopen(switch, timeout=20):
            pass
        wait_for(lambda: up() == {"door": False, "hall": True})
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines[0]["source"]["cameras"] == ["door", "hall"] and lines[-1]["kind"] == "summary"
    assert {line["camera"] for line in lines[1:-1]} == {"door", "hall"}


def test_help_tells_of_ray(cli: Cli) -> None:
    assert serve is not None
    done = cli("serve", "--help")
    assert done.code == 0 and "--ray" in done.out and "--node-label" in done.out
