"""What an address serves: a live stream, a video with an end, or a picture. Web servers are asked first."""

from __future__ import annotations

import base64
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead
from urllib.parse import unquote, urlsplit, urlunsplit

from rtface.capture import camera
from rtface.capture.images import PictureBytes
from rtface.capture.source import Source
from rtface.capture.video import open_url
from rtface.errors import SourceError
from rtface.system import filetype
from rtface.system.addresses import shown_address
from rtface.system.clock import Clock
from rtface.system.opencv import cv2, quiet
from rtface.version import __version__

WEB = ("http", "https")
LIVE = ("rtsp", "rtsps", "rtspt", "rtspu", "rtmp", "rtmps", "rtmpt", "srt", "udp", "rtp", "tcp", "mms", "mmsh")
SCHEMES = (*WEB, *LIVE, "ftp")
#: What a stream may open in its turn, such as the parts that a playlist names: no file of this machine.
_PROTOCOLS = (*SCHEMES, "tls", "crypto", "httpproxy", "data", "rtmpe", "rtmpte", "rtmpts", "hls", "async", "cache")
#: A picture on a web server takes no more bytes than these.
MOST_BYTES = 256 * 2**20
_HEAD = 4096
_CHECK = "Check the address, and that the server is up"
_environment = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Served:
    """What a web server answered: the kind of its bytes, whether their number is told, and a picture's bytes."""

    kind: str | None
    content: str
    has_length: bool
    playlist_ends: bool = False
    picture: bytes | None = None

    @property
    def has_end(self) -> bool:
        if self.content.startswith("multipart/"):
            return False
        return self.playlist_ends if self.kind == "playlist" else self.has_length


class NetworkSource(camera.CaptureSource):
    """A live stream from an address: rtsp://, or MJPEG over http://."""

    def __init__(self, url: str, clock: Clock) -> None:
        """
        Raises:
            SourceError: It cannot be opened as a video.
        """
        name = shown_address(url)
        lost = SourceError(name, "the stream ended or was lost", "Check the server, then start again")
        self.reopen = lambda: NetworkSource(url, clock)
        super().__init__(name, _open(name, url), clock, lost)


def open_address(url: str, clock: Clock) -> Source:
    """What an address serves: a stream, or over HTTP a picture or a video with an end, which are read like files.

    Raises:
        SourceError: It cannot be opened, or its scheme is none that is known.
    """
    name = shown_address(url)
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:  # half an IPv6 address
        raise SourceError(name, "is no address", "Compare it with rtsp://camera.local/stream") from error
    if scheme not in SCHEMES:
        raise SourceError(name, f"addresses of the kind {scheme}:// are not read", f"Known are {', '.join(SCHEMES)}")
    served = _ask(name, url) if scheme in WEB else None
    if served is not None and served.picture is not None:
        return PictureBytes(name, served.picture, clock)
    if scheme == "ftp" or (served is not None and served.has_end):
        source = open_url(name, url, clock)
        source.reopen = lambda: open_url(name, url, clock)
        return source
    return NetworkSource(url, clock)


def _ask(name: str, url: str) -> _Served | None:
    """What a web server has at an address; None where only FFmpeg may know: it speaks more ways of logging in.

    Raises:
        SourceError: The server says that there is nothing, or a picture breaks off.
    """
    try:
        with urllib.request.urlopen(_request(url), timeout=camera.OPEN_TIMEOUT_MS / 1000.0) as answer:
            head = b""
            content = (answer.headers.get_content_type() or "").lower()
            if not content.startswith("multipart/"):
                head = answer.read(_HEAD)
            kind = filetype.kind_of_bytes(head)
            length = answer.headers.get("Content-Length")
            if kind in filetype.PICTURES and length is None and content.startswith("multipart/"):
                return _Served(kind, content, False)
            if kind in filetype.PICTURES:
                return _Served(kind, content, True, picture=head + _rest(name, answer, length))
            ends = kind == "playlist" and b"#EXT-X-ENDLIST" in head + answer.read(MOST_BYTES // 256)
            return _Served(kind, content, length is not None, playlist_ends=ends)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise SourceError(name, f"is not there (the server answered {error.code})", "Check the address") from None
        return None
    except IncompleteRead as error:
        raise _broke_off(name) from error
    except (OSError, ValueError, HTTPException):  # FFmpeg tries, and its failure is told
        return None


def _request(url: str) -> urllib.request.Request:
    """The request, with what the address says of user and password in its header, where it belongs."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host, fragment="")))
    request.add_header("User-Agent", f"rtface/{__version__}")
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _rest(name: str, answer: object, length: str | None) -> bytes:
    rest: bytes = answer.read(MOST_BYTES - _HEAD + 1)  # type: ignore[attr-defined]
    if len(rest) + _HEAD > MOST_BYTES:
        raise SourceError(name, f"is too large: over {MOST_BYTES // 2**20} MB", "Shrink the picture")
    if length is not None and length.isdecimal() and len(rest) + _HEAD < int(length):
        raise _broke_off(name)
    return rest


def _broke_off(name: str) -> SourceError:
    return SourceError(name, "broke off before its end", "Check the server, then start again")


def _open(name: str, url: str) -> cv2.VideoCapture:
    settings = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, camera.OPEN_TIMEOUT_MS),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, camera.READ_TIMEOUT_MS),
        *(cv2.CAP_PROP_N_THREADS, 1),  # each decoder thread more holds a frame back
    ]
    with quiet(), _no_local_files():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        raise SourceError(name, "cannot be opened as a video", _CHECK)
    return capture


@contextmanager
def _no_local_files() -> Iterator[None]:
    """Tells FFmpeg behind OpenCV which protocols a stream may use. What the user has set there stays."""
    variable = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    with _environment:
        before = os.environ.get(variable)
        # OpenCV's own default, which a value here replaces: RTSP over TCP, where nothing is lost on the way.
        others = before or "rtsp_transport;tcp"
        if "protocol_whitelist" not in others:
            os.environ[variable] = f"{others}|protocol_whitelist;{','.join(_PROTOCOLS)}"
        try:
            yield
        finally:
            os.environ.pop(variable, None)
            if before is not None:
                with suppress(ValueError):
                    os.environ[variable] = before
