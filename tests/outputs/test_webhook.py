"""Webhooks, to a server that fails, hangs, refuses and comes back; read by others' packages."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rtface.audience.visits import Visit
from rtface.errors import OutputError, UsageError
from rtface.outputs.cloud_events import cloud_event, http_message, signature_headers
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.spool import Spool
from rtface.outputs.webhook import WebhookSink
from rtface.system.backoff import Backoff
from rtface.types import Event
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import free_port, wait_for


class Receiver:
    """Python's own HTTP server; answers with `status`, or not at all while `hangs`."""

    def __init__(self, port: int) -> None:
        self.status = 204
        self.headers: dict[str, str] = {}
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.asked = 0
        self.port = port

    def start(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked += 1
                if receiver.hangs.is_set():
                    receiver.goes_on.wait(10)
                    self.close_connection = True
                    return
                if receiver.status < 300:
                    receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not on the tests' screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.goes_on.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]

    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("io.rtface.event.") for event in self.events]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver(free_port()).start()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebhookSink, "beat_s", 0.02)


def sink_to(receiver: Receiver, spool: Path, settings: str = "", path: str = "/hook") -> WebhookSink:
    url = f"http://127.0.0.1:{receiver.port}{path}?spool={spool}{settings}"
    sink = WebhookSink(parse_output_url(url))
    sink._backoff = Backoff(0.01, 0.05)
    return sink


def somebody_comes(sink: WebhookSink, track_id: int = 1, start: int = 0) -> None:
    for index in range(start, start + 12):
        sink.write(a_result(a_face(track_id=track_id, emotion="neutral"), index=index, media_time=index * 0.04))


COMES_AND_GOES = ["arrived", "look_start", "someone", "look_end", "left", "nobody"]


def a_file(**more: Any) -> Any:
    return a_run(live=False, **more)


def test_events_arrive_as_cloud_events(receiver: Receiver, tmp_path: Path) -> None:
    http = pytest.importorskip("cloudevents.core.bindings.http", reason="needs cloudevents (pip install cloudevents)")
    from cloudevents.core.formats.json import JSONFormat

    with sink_to(receiver, tmp_path) as sink:
        sink.open(a_file())
        somebody_comes(sink)
        sink.finish({"frames": 12})
    events = [http.from_http(http.HTTPMessage(headers, body), JSONFormat()) for _, headers, body in receiver.got]
    kinds = [event.get_type() for event in events]
    assert kinds[0] == "io.rtface.event.arrived" and kinds[-2:] == ["io.rtface.event.left", "io.rtface.event.nobody"]
    first = events[0]
    assert first.get_specversion() == "1.0" and first.get_subject() == "track/1"
    assert first.get_source() == f"//{socket.gethostname()}/rtface/clip"
    assert first.get_data()["track_id"] == 1 and first.get_data()["kind"] == "arrived"
    assert len({(event.get_source(), event.get_id()) for event in events}) == len(events)
    assert first.get_time().tzinfo is not None


def test_what_an_audience_of_the_run_made_is_not_posted_twice(receiver: Receiver, tmp_path: Path) -> None:
    with sink_to(receiver, tmp_path) as sink:
        sink.open(a_file())
        for index in range(25):
            events = (Event("arrived", 0.8, "near", 1), Event("source_back", 0.8, "camera 0")) if index == 20 else ()
            sink.write(a_result(a_face(track_id=1), index=index, media_time=index * 0.04, events=events))
        sink.finish({})
    kinds = [json.loads(body)["type"].rpartition(".")[2] for _, _, body in receiver.got]
    assert kinds.count("arrived") == 1 and kinds.count("source_back") == 1


def test_binary_mode_has_the_attributes_in_headers(receiver: Receiver, tmp_path: Path) -> None:
    http = pytest.importorskip("cloudevents.core.bindings.http", reason="needs cloudevents (pip install cloudevents)")
    from cloudevents.core.formats.json import JSONFormat

    with sink_to(receiver, tmp_path, "&mode=binary&what=results") as sink:
        sink.open(a_file())
        sink.write(a_result(a_face()))
        sink.finish({"frames": 1})
    ((_, headers, body),) = receiver.got
    event = http.from_http(http.HTTPMessage(headers, body), JSONFormat())
    assert event.get_type() == "io.rtface.result" and headers["content-type"] == "application/json"
    assert json.loads(body)["kind"] == "frame" and "parsing" not in json.loads(body)["faces"][0]


def test_each_is_signed_by_the_secret(receiver: Receiver, tmp_path: Path) -> None:
    webhooks = pytest.importorskip("standardwebhooks.webhooks", reason="needs standardwebhooks (pip install …)")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (tmp_path / "secret").write_text(secret + "\n")
    with sink_to(receiver, tmp_path, f"&secretfile={tmp_path}/secret") as sink:
        sink.open(a_file())
        somebody_comes(sink)
        sink.finish({"frames": 12})
    for path, headers, body in receiver.got:
        assert webhooks.Webhook(secret).verify(body, headers)["specversion"] == "1.0"
        with pytest.raises(webhooks.WebhookVerificationError):
            webhooks.Webhook(secret).verify(body + b" ", headers)
        assert path == "/hook"


def test_what_the_receiver_wants_of_its_address_reaches_it_and_ours_does_not(
    receiver: Receiver, tmp_path: Path
) -> None:
    with sink_to(receiver, tmp_path, "&token=abc&what=results", path="/a%20b/c") as sink:
        assert sink.name == f"http://127.0.0.1:{receiver.port}/a%20b/c?token=…"
        sink.open(a_file())
        sink.write(a_result())
        sink.finish({"frames": 1})
    assert [path for path, _, _ in receiver.got] == ["/a%20b/c?token=abc"]


def test_a_receiver_that_fails_gets_everything_in_order_when_it_is_back(receiver: Receiver, tmp_path: Path) -> None:
    told: list[Event] = []
    receiver.status = 503
    with sink_to(receiver, tmp_path) as sink:
        sink.open(a_file(on_event=told.append))
        somebody_comes(sink)
        wait_for(lambda: receiver.asked > 3)
        receiver.status = 200
        wait_for(lambda: sink.connected)
        sink.finish({"frames": 12})
    assert receiver.kinds() == COMES_AND_GOES
    assert [event.kind for event in told] == ["output_lost", "output_back"]
    assert told[0].what.endswith("it answers 503 Service Unavailable") and sink.lost == 0


def test_a_receiver_that_hangs_holds_nothing_up(receiver: Receiver, tmp_path: Path) -> None:
    receiver.hangs.set()
    with sink_to(receiver, tmp_path, "&timeout_s=0.2") as sink:
        sink.open(a_file())
        somebody_comes(sink)
        wait_for(lambda: receiver.asked)
        somebody_comes(sink, start=12)  # returns at once
        receiver.hangs.clear()
        receiver.goes_on.set()
        wait_for(lambda: receiver.got and sink.connected)
        sink.finish({"frames": 24})
    assert sorted(set(receiver.kinds())) == sorted(COMES_AND_GOES)


def test_what_was_not_delivered_is_delivered_by_the_next_run(tmp_path: Path) -> None:
    nobody = Receiver(free_port())
    with sink_to(nobody, tmp_path / "spool") as sink:
        sink.open(a_file())
        somebody_comes(sink)
        wait_for(lambda: sink.failures)
        sink.finish({"frames": 12})
    (file,) = (tmp_path / "spool").glob("*.db")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    somebody = nobody.start()
    try:
        with sink_to(somebody, tmp_path / "spool") as sink:
            sink.open(a_file())
            wait_for(lambda: len(somebody.got) == len(COMES_AND_GOES))
            sink.finish({"frames": 0})
        assert somebody.kinds() == COMES_AND_GOES
    finally:
        somebody.stop()


def test_no_secret_of_the_address_is_in_the_name_of_the_file_that_keeps_messages(tmp_path: Path) -> None:
    for address in ("http://me:hunter2@127.0.0.1:1/hook", "http://127.0.0.1:1/hook?token=hunter2&key=hunter2"):
        url = f"{address}{'&' if '?' in address else '?'}spool={tmp_path}"
        with WebhookSink(parse_output_url(url)) as sink:
            sink.open(a_run())
    names = [path.name for path in tmp_path.glob("*.db")]
    assert len(names) == 2 and not any("hunter2" in name for name in names), names


def test_what_it_does_not_want_is_dropped_said_and_counted(receiver: Receiver, tmp_path: Path) -> None:
    told: list[Event] = []
    receiver.status = 400
    with sink_to(receiver, tmp_path, "&what=results") as sink:
        sink.open(a_file(on_event=told.append))
        for index in range(3):
            sink.write(a_result(index=index))
        wait_for(lambda: sink.lost == 3)
        sink.finish({"frames": 3})
    assert "it does not want this: 400 Bad Request" in told[0].what


def test_retry_after_is_heeded(receiver: Receiver, tmp_path: Path) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "30"}
    with sink_to(receiver, tmp_path, "&what=results") as sink:
        sink.open(a_file())
        sink.write(a_result())
        wait_for(lambda: sink.failures > 5)
        assert receiver.asked == 1


def test_windows_hold_no_single_visitor(receiver: Receiver, tmp_path: Path) -> None:
    with sink_to(receiver, tmp_path, "&what=windows") as sink:
        sink.open(a_file())
        for track_id in range(6):
            seen = {"first_seen": 0.0, "last_seen": 2.0, "started_at": 1_700_000_000.0, "dwell_s": 2.0}
            visit = Visit(track_id=track_id, **seen, attention_s=1.0, looks=1, smiles=0, emotion=None, near=True)
            sink._windows.add(visit)  # type: ignore[union-attr]
        sink.finish({"frames": 0})
    assert {event["type"] for event in receiver.events} == {"io.rtface.window"}
    assert "track_id" not in json.dumps(receiver.events)


def test_a_full_spool_gives_up_the_oldest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", most_bytes=1000)
    for number in range(20):
        spool.put("{}", b"%03d" % number * 30)  # 90 bytes each
    assert spool.dropped == 9 and len(spool) == 11
    oldest = spool.oldest()
    assert oldest is not None and oldest.body.startswith(b"009")
    spool.remove(oldest)
    spool.remove(oldest)  # it is gone already
    assert len(spool) == 10
    spool.close()


def test_two_runs_have_a_spool_each_and_the_first_one_is_taken_over(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, "x", 1000), Spool(tmp_path, "x", 1000)
    first.put("{}", b"first")
    second.put("{}", b"second")
    assert len(first) == len(second) == 1
    first.close()
    third = Spool(tmp_path, "x", 1000)
    oldest = third.oldest()
    assert oldest is not None and oldest.body == b"first"
    second.close()
    third.close()


def test_a_spool_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot keep messages"):
        Spool(tmp_path / "file", "x", 1000)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"Did you mean results\?"):
        WebhookSink(parse_output_url("https://host/?what=result"))
    with pytest.raises(UsageError, match="names no host"):
        WebhookSink(parse_output_url("https:///path"))


def test_a_known_signature() -> None:
    # Of the Standard Webhooks' specification.
    headers = signature_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_names_of_all_scripts_become_a_uri_and_ascii_headers() -> None:
    event = cloud_event("event.arrived", {"a": 1}, event_id="1", source="//host/rtface/Tür 1", at=0.0)
    assert event["source"] == "//host/rtface/T%C3%BCr%201" and event["time"] == "1970-01-01T00:00:00.000Z"
    headers, _ = http_message(event, binary=True)
    assert all(value.isascii() for value in headers.values())
