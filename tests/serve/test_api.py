from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import threading
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs pip install 'rtface[serve]'")

from rtface.serve.analyze import PIXELS, size_of
from tests.serve.served import serving


@pytest.fixture(scope="module")
def served():
    with serving() as running:
        yield running


def wait_for(happened, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.05)
    return found


def test_it_is_healthy_at_once_and_ready_with_the_first_result():
    with serving(fed=False) as served:
        served.hub.add("slow")
        assert served.ask("/healthz").json() == {"status": "ok"}
        answer = served.ask("/readyz")
        assert (answer.status, answer.json()["why"]) == (503, {"slow": "no frame yet"})
        assert served.ask("/api/v1/result").status == 503
        assert served.ask("/api/v1/result?camera=none").status == 404


def test_the_newest_result_and_its_faces(served):
    record = served.ask("/api/v1/result").json()
    assert (record["schema"], record["kind"], record["camera"]) == ("rtface.result/1", "frame", "made")
    later = wait_for(lambda: (new := served.ask("/api/v1/result").json())["index"] > record["index"] and new)
    assert later["width_px"] == 320
    (face,) = wait_for(lambda: served.ask("/api/v1/faces").json()["faces"])
    assert face["track_id"] == 1


def test_a_page_that_is_asked_for_is_there_and_nothing_else(served):
    for path in ("/", "/app.js", "/overlay.js", "/charts.js", "/style.css", "/vendor/uPlot.js", "/icon.svg"):
        answer = served.ask(path)
        assert answer.status == 200 and answer.body
    for path in ("/static/index.html", "/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/app.py"):
        assert served.ask(path).status == 404


def test_a_picture_is_the_newest_frame(served):
    answer = served.ask("/api/v1/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (180, 320, 3)
    assert abs(int(image[90, 160, 1]) - 80) < 4


def test_pictures_come_one_after_the_other(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", "/stream.mjpg")
    answer = connection.getresponse()
    assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
    seen = set()
    for _ in range(4):
        assert answer.readline() == b"--frame\r\n"
        assert answer.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(answer.readline().split(b":")[1])
        answer.readline()
        seen.add(answer.read(length))
        answer.readline()
    connection.close()
    assert len(seen) == 4


def test_events_are_told_from_the_last_fifty_on_and_resumed(served):
    wait_for(lambda: len(served.hub.events) >= 5)
    lines = served.lines("/api/v1/events", 18)
    assert lines[0] == "retry: 2000"
    numbers = [int(line[4:]) for line in lines if line.startswith("id: ")]
    assert numbers[:3] == [1, 2, 3]
    record = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
    assert record["kind"] == "arrived" and record["camera"] == "made" and record["time"].endswith("Z")
    resumed = served.lines("/api/v1/events", 4, Last_Event_ID="3")
    assert resumed[2] == "id: 4"


def test_who_is_here(served):
    audience = wait_for(lambda: (a := served.ask("/api/v1/audience").json())["now"]["looking"] and a)
    assert audience["now"]["present"] == 1
    assert audience["now"]["visitors"][0]["attention_s"] >= 0.3
    assert audience["today"]["span"] == "1d"


def test_cameras_and_their_last_minutes(served):
    (camera,) = wait_for(lambda: (c := served.ask("/api/v1/cameras").json()) and c[0]["fps"] > 5 and c)
    assert (camera["name"], camera["up"], camera["width_px"]) == ("made", True, 320)
    timeline = served.ask("/api/v1/timeline").json()
    assert set(timeline) == {"time_s", "age_ms", "level", "faces"}
    assert len({len(column) for column in timeline.values()}) == 1


def test_options_are_told_without_paths_and_changed_where_that_is_safe(served):
    assert "/secret" not in json.dumps(served.ask("/api/v1/options").json())
    kind = {"Content_Type": "application/json"}
    answer = served.ask("/api/v1/options", "PATCH", json.dumps({"budget_ms": 40, "tasks": ["pose"]}), **kind)
    assert (answer.status, answer.json()["budget_ms"], answer.json()["tasks"]) == (200, 40.0, ["pose"])
    assert served.updates[-1] == {"budget_ms": 40, "tasks": ["pose"]}
    for body in (
        "[]",
        "{}",
        '{"models_dir": "/etc"}',
        '{"budget_ms": -3}',
        '{"tasks": "x"}',
        '{"privacy": 1}',
    ):
        answer = served.ask("/api/v1/options", "PATCH", body, **kind)
        assert answer.status == 422, body
        assert set(answer.json()) == {"error"}
    for body in ("{", "[" * 20_000, '{"budget_ms": ' + "9" * 5000 + "}", '{"budget_ms": NaN}', '{"budget_ms": 1e999}'):
        assert served.ask("/api/v1/options", "PATCH", body, **kind).status == 400, body[:20]
    assert served.ask("/api/v1/options", "PATCH", '{"budget_ms": 3}', Content_Type="text/plain").status == 415


def test_privacy_may_only_become_stricter():
    with serving(privacy="blur") as served:
        kind = {"Content_Type": "application/json"}
        assert served.ask("/api/v1/options", "PATCH", '{"privacy": "full"}', **kind).status == 422
        assert served.ask("/api/v1/options", "PATCH", '{"privacy": "aggregate"}', **kind).status == 200
        assert served.hub.privacy == "aggregate"


def test_nothing_of_single_faces_leaves_in_aggregate_mode():
    with serving(privacy="aggregate") as served:
        wait_for(lambda: served.hub.cameras["made"].sequence > 20)
        paths = ("result", "faces", "snapshot.jpg")
        assert [served.ask(f"/api/v1/{path}").status for path in paths] == [403] * 3
        assert served.ask("/stream.mjpg").status == 403
        assert served.ask("/api/v1/analyze", "POST", b"x", Content_Type="image/png").status == 403
        assert served.ask("/api/v1/audience").json() == {"privacy": "aggregate", "published": []}
        assert {told.kind for told in served.hub.events} <= {"source_lost", "source_back", "window"}
        assert b"rtface_faces{" not in served.ask("/metrics").body
        assert "faces" not in served.ask("/api/v1/timeline").json()


class FakeAnalyzer:
    def __init__(self):
        self.go, self.began = threading.Event(), threading.Event()

    def image(self, image):
        self.began.set()
        self.go.wait(10)
        return self

    def to_dict(self):
        return {"faces": []}

    def close(self):
        pass


@pytest.fixture
def analyzer(monkeypatch):
    made = FakeAnalyzer()
    monkeypatch.setattr("rtface.analyzer.Analyzer", lambda options: made)
    return made


def test_a_picture_that_is_sent_is_looked_at_one_at_a_time(analyzer):
    png = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    with serving(fed=False) as served:
        first = []
        ask = lambda: served.ask("/api/v1/analyze", "POST", png, Content_Type="image/png")  # noqa: E731
        thread = threading.Thread(target=lambda: first.append(ask()))
        thread.start()
        assert analyzer.began.wait(20)
        answer = ask()
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        analyzer.go.set()
        thread.join()
        assert first[0].json() == {"faces": []}
        assert ask().status == 200


def test_what_is_no_picture_is_refused_before_it_is_decoded(analyzer):
    analyzer.go.set()
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + bytes(40)
    with serving(fed=False) as served:

        def status(body, kind="image/png", **headers):
            return served.ask("/api/v1/analyze", "POST", body, Content_Type=kind, **headers).status

        assert status(b"no picture at all, but some text") == 422
        assert status(bomb) == 413
        assert status(b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10" + bytes(20), "image/jpeg") == 422
        assert status(b"x", "text/plain") == 415
        assert status(b"") == 422
        assert status(b"x", Content_Length=str(17 * 1024 * 1024)) == 413
        chunks = (bytes(1 << 20) for _ in range(18))  # says nothing of its length
        with contextlib.suppress(ConnectionError):  # it hangs up on who goes on sending
            assert status(chunks, Transfer_Encoding="chunked") == 413
        assert served.ask("/healthz").status == 200


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("shape", [(40, 60, 3), (601, 1, 3), (3, 1025, 3)])
def test_sizes_are_read_from_heads(ending, shape):
    data = cv2.imencode(ending, np.random.default_rng(0).integers(0, 255, shape, np.uint8))[1].tobytes()
    assert size_of(data) == (shape[1], shape[0])
    assert all(size_of(data[:cut]) in (None, (shape[1], shape[0])) for cut in range(60))
    lossless = cv2.imencode(".webp", np.zeros(shape, np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert size_of(lossless) == (shape[1], shape[0])
    assert shape[0] * shape[1] < PIXELS


def test_figures_are_as_prometheus_wants_them(served):
    answer = served.ask("/metrics")
    text = answer.body.decode()
    for name in (
        "rtface_frames_total",
        "rtface_frames_dropped_total",
        "rtface_results_late_total",
        "rtface_faces",
        "rtface_quality_level",
        "rtface_result_age_seconds_bucket",
        "rtface_source_up",
    ):
        assert f'{name}{{camera="made"' in text
    assert "track" not in text
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed (apt install prometheus)")
    done = subprocess.run([promtool, "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_that_is_served_is_documented(served):
    document = served.ask("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            if path not in ("/stream.mjpg", "/api/v1/events"):
                assert served.ask(path.replace("{camera}", "made"), method.upper()).status not in (404, 405), path
    assert served.ask("/api/v1/options", "DELETE").status == 405


def test_two_results_at_once_are_no_thousand_a_second(served):
    camera = served.hub.cameras["made"]
    wait_for(lambda: camera.sequence > 10)
    newest = camera.result
    for _ in range(3):
        served.hub.put("made", newest)
    number = camera.sequence
    wait_for(lambda: camera.sequence > number + 4)
    assert camera.fps < 60
