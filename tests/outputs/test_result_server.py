"""ws:// and sse://: taken by the websockets and httpx clients and by Chromium; slow ones and strangers."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

for needed in ("starlette", "uvicorn", "websockets"):
    pytest.importorskip(needed, reason=f"needs {needed} (pip install 'rtface[serve]')")
httpx = pytest.importorskip("httpx", reason="needs httpx (pip install httpx)")
from websockets.exceptions import ConnectionClosedOK, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from rtface.errors import UsageError  # noqa: E402
from rtface.outputs.fanout import Fanout  # noqa: E402
from rtface.outputs.open import choose  # noqa: E402
from rtface.outputs.output_url import parse_output_url  # noqa: E402
from rtface.outputs.result_server import ResultServerSink  # noqa: E402
from rtface.types import Event  # noqa: E402
from tests.outputs.made import a_face, a_result, a_run  # noqa: E402
from tests.outputs.receivers import wait_for  # noqa: E402

FACE = a_face(track_id=3)


@contextmanager
def serving(address: str = "ws://:0", **more: Any) -> Iterator[ResultServerSink]:
    with ResultServerSink(parse_output_url(address)) as sink:
        sink.open(a_run(**more))
        yield sink


def hears(sink: ResultServerSink, count: int = 1) -> None:
    """Until so many clients are told what comes."""
    wait_for(lambda: len(sink._clients) == count)


def sse(lines: Iterator[str]) -> dict[str, str]:
    """The next message, as the specification of Server-Sent Events reads it."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            return fields
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
    raise AssertionError("the stream ended")


def test_a_websocket_gets_the_lines_of_a_jsonl() -> None:
    with serving() as sink, connect(f"ws://127.0.0.1:{sink.port}") as client:
        assert json.loads(client.recv(10)) == {**a_run().header, "options": {}}
        hears(sink)
        for index in range(3):
            result = a_result(FACE, index=index)
            sink.write(result)
            assert json.loads(client.recv(10)) == json.loads(json.dumps(result.to_dict(parsing=False)))
        sink.finish({"kind": "summary", "frames": 3})
        assert json.loads(client.recv(10)) == {"kind": "summary", "frames": 3}
        with pytest.raises(ConnectionClosedOK):
            client.recv(10)
        assert sink.lost == 0


def test_server_sent_events_have_a_kind_and_a_growing_number() -> None:
    with (
        serving("sse://:0/faces?what=results,events") as sink,
        httpx.stream("GET", f"http://127.0.0.1:{sink.port}/faces", timeout=10) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert sse(lines)["event"] == "header"
        hears(sink)
        sink.write(a_result(FACE, events=(Event("source_back", 1.0, "camera 0", duration_s=2.0),)))
        told = [sse(lines), sse(lines)]
        assert [one["event"] for one in told] == ["source_back", "frame"]
        assert int(told[0]["id"]) < int(told[1]["id"])
        assert json.loads(told[0]["data"])["duration_s"] == 2.0
        assert json.loads(told[1]["data"])["faces"][0]["track_id"] == 3


def test_who_comes_back_is_told_the_events_that_he_missed() -> None:
    with serving("sse://:0?what=events") as sink:
        for number in range(3):
            sink.write(a_result(events=(Event("source_lost", float(number), str(number)),)))
        ask = partial(httpx.stream, "GET", f"http://127.0.0.1:{sink.port}/", timeout=10)
        with ask(headers={"Last-Event-ID": "1"}) as answer:
            lines = answer.iter_lines()
            assert [sse(lines).get("id") for _ in range(3)] == ["1", "2", "3"]
        with ask(headers={"Last-Event-ID": "400"}) as answer:  # of an earlier run
            lines = answer.iter_lines()
            assert sse(lines)["event"] == "header"
            hears(sink)
            sink.write(a_result(events=(Event("source_back", 9.0, ""),)))
            assert sse(lines)["event"] == "source_back"


def test_what_an_audience_of_the_run_made_is_not_told_twice() -> None:
    with serving("ws://:0?what=events") as sink, connect(f"ws://127.0.0.1:{sink.port}") as client:
        client.recv(10)
        hears(sink)
        for index in range(50):
            at = 100.0 + index * 0.04
            made_by_the_run = (Event("arrived", at, "near", 3),) if index == 25 else ()
            sink.write(a_result(FACE, index=index, events=made_by_the_run))
        sink.finish({"kind": "summary"})
        kinds = []
        with pytest.raises(ConnectionClosedOK):
            while True:
                kinds.append(json.loads(client.recv(10))["kind"])
        assert kinds.count("arrived") == 1 and kinds[-1] == "summary"


def test_nothing_is_written_out_for_nobody() -> None:
    with serving() as sink:
        for index in range(100):
            sink.write(a_result(FACE, index=index))
        assert sink._feed.number == 0


def test_a_client_that_does_not_read_costs_its_own_results_only(capfd: pytest.CaptureFixture[str]) -> None:
    crowd = [a_face(track_id=number) for number in range(200)]  # 300 kB
    sink = ResultServerSink(parse_output_url("ws://:0"))
    fanout = Fanout([sink], a_run(), live=True)
    address = f"ws://127.0.0.1:{sink.port}"
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", sink.port))
    with connect(address, sock=narrow, max_queue=1), connect(address) as client:
        hears(sink, 2)
        client.recv(10)
        for index in range(30):
            fanout.put(a_result(*crowd, index=index))
            assert json.loads(client.recv(10))["index"] == index
        assert len(sink._feed.since(0)) == 1  # the newest, not a queue
        assert sink.lost > 5
        fanout.finish({"kind": "summary"})
        assert json.loads(client.recv(10))["lost"]["ws://:0"] > 5
    assert not capfd.readouterr().err


def test_nothing_old_is_kept_for_a_client_that_does_not_read() -> None:
    with serving() as sink:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", sink.port))
        address = f"ws://127.0.0.1:{sink.port}"
        with connect(address, sock=narrow, max_queue=1), connect(address) as client:
            hears(sink, 2)
            client.recv(10)
            made = []
            for index in range(300):
                result = a_result(FACE, index=index)  # 2 kB
                sink.write(result)
                made.append(len(client.recv(10)))
            kept = sum(made[: 300 - sink.lost])
            assert kept < 150_000 < sum(made)


def test_each_camera_keeps_its_newest_result() -> None:
    with serving() as sink, connect(f"ws://127.0.0.1:{sink.port}") as client:
        client.recv(10)
        hears(sink)
        for index, camera in enumerate(("door", "hall", "door")):
            sink.write(a_result(index=index, camera=camera))
        assert [(told.kind, json.loads(told.text)["index"]) for told in sink._feed.since(0)] == [
            ("frame", 1),
            ("frame", 2),
        ]
        while (last := json.loads(client.recv(10)))["index"] < 2:
            pass
        assert last["camera"] == "door"


def test_a_client_that_is_gone_is_forgotten() -> None:
    with serving() as sink:
        for _ in range(40):  # more than there is room for at a time
            with connect(f"ws://127.0.0.1:{sink.port}") as client:
                client.recv(10)
        hears(sink, 0)


@pytest.mark.parametrize("scheme", ["ws", "sse"])
def test_pages_of_strangers_are_refused(scheme: str) -> None:
    with serving(f"{scheme}://:0") as sink:
        url = f"http://127.0.0.1:{sink.port}/"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        more = {**upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} if scheme == "ws" else {}
        assert httpx.get(url, headers={**more, "Origin": "http://evil.example"}).status_code == 403
        assert httpx.get(url, headers={**more, "Origin": "null"}).status_code == 403
        assert httpx.get(url, headers={**more, "Host": "evil.example"}).status_code == 400
        assert httpx.get(url, headers={**more, "Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_an_origin_that_is_named_may_read() -> None:
    ours = "http://localhost:8000"
    with serving(f"sse://:0?allow_origin={ours},https://kiosk.example") as sink:
        ask = partial(httpx.stream, "GET", f"http://127.0.0.1:{sink.port}/", timeout=10)
        for origin in (ours, "https://kiosk.example"):
            with ask(headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}) as answer:
                assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        with ask() as answer:
            assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers
    with serving(f"ws://:0?allow_origin={ours}") as sink:
        with connect(f"ws://127.0.0.1:{sink.port}", origin=ours) as client:  # type: ignore[arg-type]
            assert json.loads(client.recv(10))["version"] == "0"
        with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{sink.port}", origin="http://x"):  # type: ignore[arg-type]
            pass


def test_other_machines_need_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTFACE_TOKEN", raising=False)
    with pytest.raises(UsageError, match="listens for other machines and has no token"):
        choose(["ws://0.0.0.0:0"], source="demo")
    file = tmp_path / "token"
    file.write_text("short\n")
    with pytest.raises(UsageError, match="too short"):
        choose([f"ws://0.0.0.0:0?tokenfile={file}"], source="demo")
    file.write_text("a-secret-of-ours\n")
    with serving(f"sse://0.0.0.0:0?tokenfile={file}") as sink:
        assert "a-secret" not in sink.name
        url = f"http://127.0.0.1:{sink.port}/"
        assert httpx.get(url).status_code == httpx.get(f"{url}?token=wrong").status_code == 401
        with httpx.stream("GET", f"{url}?token=a-secret-of-ours") as answer:  # an EventSource sends no headers
            assert answer.status_code == 200
    with serving(f"ws://0.0.0.0:0?tokenfile={file}") as sink:
        header = {"Authorization": "Bearer a-secret-of-ours"}
        with connect(f"ws://127.0.0.1:{sink.port}", additional_headers=header) as client:
            client.recv(10)


def test_what_cannot_be_is_said_in_a_line() -> None:
    with serving() as sink:
        assert httpx.get(f"http://127.0.0.1:{sink.port}/").status_code == 426
        assert httpx.get(f"http://127.0.0.1:{sink.port}/elsewhere").status_code == 404
        (other,) = choose([f"ws://:{sink.port}"], source="demo")
        with pytest.raises(UsageError, match=r"cannot be listened on \(Address already in use\)"):
            other.open(a_run())
    for address, says in {
        "ws://me:secret@:0": "takes no user and no password",
        "ws://:0?origin=http://x": "'origin': is unknown",
        "ws://:0?allow_origin=*": "'*' is no origin. Write it as allow_origin=http://localhost:8000",
        "ws://:0?allow_origin=null": "'null' is no origin",
        "ws://:0?allow_origin=http://a/path": "'http://a/path' is no origin",
        "sse://:0?what=result": "Did you mean results?",
    }.items():
        with pytest.raises(UsageError) as caught:
            choose([address], source="demo")
        assert says in str(caught.value) and "secret" not in str(caught.value)


def test_places_of_this_machine_are_not_told() -> None:
    run = a_run()
    run.header["options"] = {"models_dir": "/home/me/models", "budget_ms": 33}
    with ResultServerSink(parse_output_url("ws://:0")) as sink:
        sink.open(run)
        with connect(f"ws://127.0.0.1:{sink.port}") as client:
            assert json.loads(client.recv(10))["options"] == {"budget_ms": 33}


def test_nothing_listens_when_the_run_is_over() -> None:
    with serving() as sink:
        port = sink.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


PAGE = """<!doctype html><script>
const [scheme, port] = location.hash.slice(1).split(":");
window.seen = [];
const take = event => { const one = JSON.parse(event.data); window.seen.push(one.kind + " " + (one.index ?? "")); };
if (scheme === "ws") {
  const socket = new WebSocket("ws://127.0.0.1:" + port);
  socket.onmessage = take;
  socket.onerror = () => window.seen.push("refused");
} else {
  const source = new EventSource("http://127.0.0.1:" + port);
  for (const kind of ["header", "frame", "summary"]) source.addEventListener(kind, take);
  source.onerror = () => window.seen.push("refused");
}
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'rtface[browser]'")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium (apt install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["ws", "sse"])
def test_a_page_in_a_browser_sees_results_where_its_origin_is_named(browser: Any, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    origin = f"http://localhost:{web.server_address[1]}"
    with serving(f"{scheme}://:0?allow_origin={origin}") as sink:
        page = browser.new_page()
        page.goto(f"{origin}/page.html#{scheme}:{sink.port}")
        hears(sink)
        for index in range(3):
            sink.write(a_result(FACE, index=index))
            wait_for(lambda index=index: f"frame {index}" in page.evaluate("window.seen"))  # type: ignore[misc]
        stranger = browser.new_page()
        stranger.goto(f"http://127.0.0.1:{web.server_address[1]}/page.html#{scheme}:{sink.port}")
        wait_for(lambda: "refused" in stranger.evaluate("window.seen"))
        sink.write(a_result(FACE, index=3))
        wait_for(lambda: "frame 3" in page.evaluate("window.seen"))
        assert not any(one.startswith("frame") for one in stranger.evaluate("window.seen"))
        assert page.evaluate("window.seen")[0].startswith(("undefined", "header"))
        page.close()
        stranger.close()
    web.shutdown()
    web.server_close()
