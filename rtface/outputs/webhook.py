"""A webhook: events, windows or results posted to an address, kept on disk until the receiver has them.

CloudEvents 1.0 in the structured mode, or with ``?mode=binary`` attributes in headers. With a secret
(``?secretfile=FILE`` or RTFACE_WEBHOOK_SECRET) each is signed as Standard Webhooks has it: HMAC-SHA256.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import socket
import ssl
import time
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from rtface.audience.events import Audience, other_events
from rtface.audience.publish import WindowPublisher
from rtface.errors import UsageError
from rtface.outputs.cloud_events import cloud_event, http_message, signature_headers
from rtface.outputs.follow import frame_time
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl, parse_output_url
from rtface.outputs.records import event_record
from rtface.outputs.secrets import secret_of
from rtface.outputs.sink import RunInfo
from rtface.outputs.spool import Spool, spool_folder
from rtface.system.paths import expanded
from rtface.types import Event, FrameResult

SECRET_VARIABLE = "RTFACE_WEBHOOK_SECRET"
TIMEOUT_S = 5.0
#: Bytes that wait on disk at most, in MB, and how long a receiver's Retry-After is heeded.
SPOOL_MB, LONGEST_WAIT_S = 16.0, 60.0
#: Answers after which another try may succeed; other 4xx mean that this message is not wanted.
TRY_AGAIN = frozenset({408, 409, 425, 429})
#: How often windows are looked at.
WINDOWS_S = 30.0

WHAT = ("events", "results", "windows")
#: Settings of ours; all others are the receiver's own and are sent to it.
SETTINGS = ("what", "mode", "secretfile", "spool", "spool_mb", "span", "timeout_s")


class Refused(Exception):
    """The receiver cannot take messages now."""


class WebhookSink(NetworkSink[None]):
    """Posts to a webhook. What cannot be delivered now waits on disk, also for the next run.

    Args:
        url: ``https://host/path?what=events,windows&mode=binary&secretfile=FILE``.
    """

    own_thread = True  # its mailbox and the disk's pace are no business of the analysis
    beat_s = 1.0
    picture = "none"
    many_cameras = True

    def __init__(self, url: OutputUrl) -> None:
        super().__init__(_without_ours(url).shown)
        self._target = _without_ours(url)
        self._what = url.some_of("what", *WHAT, default=("events",))
        self.tells_groups_only = set(self._what) == {"windows"}
        self._binary = url.one_of("mode", "structured", "binary") == "binary"
        self._secret = secret_of(url, "secretfile", SECRET_VARIABLE)
        self._timeout_s = url.number("timeout_s", TIMEOUT_S, 0.1, 300.0)
        self._spool_bytes = int(url.number("spool_mb", SPOOL_MB, 0.01, 10_000.0) * 1_000_000)
        self._folder = expanded(url.settings["spool"]) if "spool" in url.settings else spool_folder()
        span = url.one_of("span", "1h", "15min")
        self._windows = WindowPublisher(span) if "windows" in self._what else None
        self._spool: Spool | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._run_id, self._count = uuid.uuid4().hex[:12], 0
        self._not_before = 0.0
        self._refused = 0
        self._windows_at = float("-inf")

    @property
    def lost(self) -> int:  # type: ignore[override]
        """Messages that made room for newer ones, or that the receiver did not want."""
        return (self._spool.dropped if self._spool is not None else 0) + self._refused

    def open(self, info: RunInfo) -> None:
        self._spool = Spool(self._folder, self._target.raw, self._spool_bytes, shown=self._target.shown)
        on_visit = self._windows.add if self._windows else None
        self._audience = Audience(info.control.options.audience_rules, on_visit=on_visit, live=info.live)
        self._began = time.time()
        super().open(info)

    # What there is to say, in the output's own thread

    def items(self, result: FrameResult) -> Iterable[None]:
        at = frame_time(result.frame, self.info.live)
        utc = self._utc(at)
        events = (*other_events(result), *self._audience.observe(result, at=at, utc=utc))
        before = self._count
        if "events" in self._what:
            for event in events:
                self._keep_event(event)
        if "results" in self._what:
            self._keep("result", result.to_dict(parsing=False), utc, None)
        if self._clock.now() - self._windows_at >= WINDOWS_S:
            self._windows_at = self._clock.now()
            self._keep_windows(utc)
        return (None,) if self._count > before else ()

    def finish(self, summary: dict[str, Any]) -> None:
        for event in self._audience.finish():
            if "events" in self._what:
                self._keep_event(event)
        self._keep_windows(float("inf"))
        super().finish(summary)

    def close(self) -> None:
        super().close()
        if self._spool is not None:
            self._spool.close()

    def _keep_event(self, event: Event) -> None:
        subject = None if event.track_id is None else f"track/{event.track_id}"
        self._keep(f"event.{event.kind}", event_record(event), self._utc(event.at), subject)

    def _keep_windows(self, now: float) -> None:
        if self._windows is not None:
            for window, record in self._windows.close(now):
                self._keep("window", record, min(now, window.end), None)

    def _keep(self, kind: str, data: dict[str, Any], utc: float, subject: str | None) -> None:
        assert self._spool is not None
        self._count += 1
        source = f"//{socket.gethostname()}/rtface/{self.info.source}"
        event_id = f"{self._run_id}-{self._count}"
        event = cloud_event(kind, data, event_id=event_id, source=source, at=utc, subject=subject)
        headers, body = http_message(event, binary=self._binary)
        self._spool.put(json.dumps({**headers, "webhook-id": event_id}), body)

    def _utc(self, at: float) -> float:
        """Seconds since 1970 of a time of the frames': of the monotonic clock live, else of the file's own."""
        return time.time() - time.monotonic() + at if self.info.live else self._began + at

    # Delivery, in the sender's thread

    def connect(self) -> None:
        self._deliver()

    def send(self, item: None) -> None:
        self._deliver()

    def beat(self) -> None:
        self._deliver()

    def farewell(self, summary: dict[str, Any]) -> None:
        self._deliver()

    def _deliver(self) -> None:
        """All that waits, oldest first.

        Raises:
            Exception: The receiver cannot be reached, or takes nothing now; what is left stays.
        """
        assert self._spool is not None
        if self._clock.now() < self._not_before:
            raise Refused("it asked to wait")
        while not self._stop.is_set() and (message := self._spool.oldest()) is not None:
            status, wait_s = self._post(json.loads(message.headers), message.body)
            if status in TRY_AGAIN or status >= 500:
                self._not_before = self._clock.now() + wait_s
                raise Refused(f"it answers {status} {http.client.responses.get(status, '')}".strip())
            if not 200 <= status < 300:
                self._refused += 1
                words = f"{status} {http.client.responses.get(status, '')}".strip()
                self._note("output_lost", f"{self.name}: it does not want this: {words}", None)
            self._spool.remove(message)

    def _post(self, headers: dict[str, str], body: bytes) -> tuple[int, float]:
        message_id = headers.pop("webhook-id")
        headers["User-Agent"] = f"rtface/{self.info.header.get('version', '0')}"
        if self._secret is not None:
            headers |= signature_headers(self._secret, message_id, int(time.time()), body)
        parts = urlsplit(self._target.raw)
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._target.scheme == "https" else http.client.HTTPConnection
            more: dict[str, Any] = {}
            if self._target.scheme == "https":
                more["context"] = ssl.create_default_context()
            self._connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s, **more)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            self._connection.request("POST", path, body, headers | _authorization(self._target))
            response = self._connection.getresponse()
            response.read(65536)
            return response.status, _retry_after(response.headers.get("Retry-After"))
        finally:
            if self._connection is not None and self._connection.sock is None:
                self._connection = None

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _without_ours(url: OutputUrl) -> OutputUrl:
    """The receiver's address: without our settings, with its own."""
    parts = urlsplit(url.raw)
    theirs = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in SETTINGS]
    if not parts.hostname:
        raise UsageError(url.shown, "names no host", "Write it as https://host/path")
    return parse_output_url(parts._replace(query=urlencode(theirs), fragment="").geturl(), host=None)


def _authorization(url: OutputUrl) -> dict[str, str]:
    if url.user is None:
        return {}
    token = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _retry_after(value: str | None) -> float:
    """Seconds that an answer asks to wait; 0 where it asks for nothing that can be read."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def open_output(url: OutputUrl) -> WebhookSink:
    """The output for an address."""
    return WebhookSink(url)
