"""Who may ask: hosts and origins from a list, a token beyond this machine, limits on rates and sizes.

Other pages in the same browser are the attacker here: they can make it send requests to 127.0.0.1. So the Host header
has to be one of ours (DNS rebinding), an Origin too (WebSockets have no other guard), and nothing that a page of
another site embeds is answered. Host and Origin are compared with a list, never with each other: under rebinding both
are the attacker's.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "rtface_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Hosts that mean every address of this machine.
WILDCARDS = ("0.0.0.0", "::", "")
#: Without a token these tell nothing but that it runs.
OPEN_PATHS = ("/healthz", "/readyz")
#: Requests a second and at once, of one address.
RATE, BURST = 50.0, 200.0
#: Wrong tokens a minute, of one address.
WRONG_A_MINUTE = 10
BODY_BYTES = 64 * 1024
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        port: The server's.
        hosts: Names that a Host header (and an Origin) may hold.
        any_address: Any IP address may be one too: the server listens on all, and rebinding needs a name.
        origins: Further origins, such as that of a reverse proxy.
        token: What has to be known; None = nothing.
        body_bytes: Path → most bytes of a request's body; others `BODY_BYTES`.
        has_page: A page is served: the token in an address becomes a cookie, so that it stays in no history.
    """

    port: int
    hosts: frozenset[str] = frozenset(LOOPBACK)
    any_address: bool = False
    origins: frozenset[str] = frozenset()
    token: str | None = None
    body_bytes: Mapping[str, int] = field(default_factory=dict)
    has_page: bool = True

    def host_allowed(self, header: str | None) -> bool:
        """Whether a Host header is one of ours."""
        name, _ = split_host(header or "")
        return name in self.hosts or (self.any_address and _is_address(name))

    def origin_allowed(self, origin: str) -> bool:
        """Whether a page of that origin is ours."""
        if origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            return False
        ours = parts.scheme in ("http", "https") and port == self.port
        return ours and self.host_allowed(parts.netloc)


def access_to(
    host: str,
    port: int,
    *,
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    token: str | None = None,
    body_bytes: Mapping[str, int] | None = None,
    has_page: bool = True,
) -> Access:
    """Who may ask a server that listens on `host`: by this machine's names, and by `hosts` and `origins` besides."""
    wildcard = host in WILDCARDS
    names = {*LOOPBACK, *hosts, *([] if wildcard else [host])}
    if wildcard:
        own = socket.gethostname().lower()
        names |= {own, f"{own}.local", own.partition(".")[0]}
    known = frozenset(name.lower().strip("[]") for name in names)
    return Access(port, known, wildcard, frozenset(origins), token, body_bytes or {}, has_page)


def split_host(header: str) -> tuple[str, str]:
    """Name and port of a Host header, in lower case; a name of nothing for what is none."""
    header = header.strip().lower()
    if header.startswith("["):
        name, bracket, port = header[1:].partition("]")
        return (name, port[1:]) if bracket and port[:1] in ("", ":") else ("", "")
    name, _, port = header.partition(":")
    return (name, port) if ":" not in port else ("", "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses what may not ask, and limits what may."""

    def __init__(self, app: App, access: Access) -> None:
        self._app, self._access = app, access
        self._rates = _Rates(RATE, BURST)
        self._wrong = _Rates(WRONG_A_MINUTE / 60.0, WRONG_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            await _refuse(scope, receive, send, *refused)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if self._access.has_page and self._access.token is not None and "token" in query:
            await _with_cookie(send, scope, query, self._access.token)
            return
        reader = headers.get("origin") if headers.get("origin") in self._access.origins else None
        await self._app(scope, _Body(receive, self._limit(scope["path"])), _with_headers(send, reader))

    def _limit(self, path: str) -> int:
        return self._access.body_bytes.get(path, BODY_BYTES)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        client = (scope.get("client") or ("",))[0]
        if not self._access.host_allowed(headers.get("host")):
            return 400, "This Host is not served here; --allow-host NAME (of an output: allow_host=NAME) allows it"
        origin = headers.get("origin")
        if origin is not None and not self._access.origin_allowed(origin):
            return 403, "Pages of other origins may not ask"
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        # A page of an origin that is allowed says which it is; what it only embeds comes without.
        if origin is None and site in ("cross-site", "same-site") and mode != "navigate":
            return 403, "Pages of other sites may not embed this"
        if not self._rates.allow(client):
            return 429, "Too many requests; wait a moment"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limit(scope["path"]):
            return 413, f"The body may have at most {self._limit(scope['path'])} bytes"
        if self._access.token is not None and scope["path"] not in OPEN_PATHS and not self._known(scope, headers):
            if not self._wrong.allow(client):
                return 429, "Too many wrong tokens; wait a minute"
            return 401, "Open the address with ?token=…, or send Authorization: Bearer …"
        return None

    def _known(self, scope: Scope, headers: dict[str, str]) -> bool:
        token = self._access.token
        assert token is not None
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        given = [query.get("token", ""), headers.get("authorization", "").removeprefix("Bearer ")]
        if any(hmac.compare_digest(one.encode(), token.encode()) for one in given):
            return True
        return hmac.compare_digest(_cookie(headers.get("cookie", "")).encode(), cookie_value(token).encode())


def cookie_value(token: str) -> str:
    """What the cookie holds: not the token itself."""
    return hashlib.sha256(f"rtface:{token}".encode()).hexdigest()


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def _with_cookie(send: Send, scope: Scope, query: dict[str, str], token: str) -> None:
    """The token out of the address (history, logs) into a cookie that no script reads."""
    rest = urlencode({name: value for name, value in query.items() if name != "token"})
    place = scope["path"] if scope["path"].startswith("/") and not scope["path"].startswith("//") else "/"
    cookie = f"{COOKIE}={cookie_value(token)}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"
    headers: list[tuple[bytes, bytes]] = [
        (b"location", (place + (f"?{rest}" if rest else "")).encode("latin-1", "replace")),
        (b"set-cookie", cookie.encode()),
        (b"cache-control", b"no-store"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # the connect
        if "websocket.http.response" in scope.get("extensions", {}):
            kind = "websocket.http.response"
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": why[:100]})
            return
    else:
        kind = "http.response"
    body = json.dumps({"error": why}).encode()
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *([(b"retry-after", b"1")] if status == 429 else []),
        *HEADERS,
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _with_headers(send: Send, reader: str | None = None) -> Send:
    """With the headers of every answer; `reader` is another origin whose pages may read it."""
    more = [] if reader is None else [(b"access-control-allow-origin", reader.encode("latin-1")), (b"vary", b"Origin")]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            kept = [] if b"cache-control" in there else [(b"cache-control", b"no-store")]
            message = {**message, "headers": [*message.get("headers", []), *HEADERS, *kept, *more]}
        await send(message)

    return sending


class TooLarge(Exception):
    """A body that goes on beyond its limit."""


class _Body:
    """Counts the bytes of a body: Content-Length may be missing or a lie."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left = receive, limit

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise TooLarge
        return message


class _Rates:
    """Token buckets of the addresses that asked lately."""

    KEPT = 1024

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, client: str) -> bool:
        """Whether one more request is within the rate."""
        now = time.monotonic()
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(left + (now - at) * self._rate, self._burst)
        allowed = left >= 1.0
        self._buckets[client] = (left - allowed, now)
        if len(self._buckets) > self.KEPT:
            self._buckets.popitem(last=False)
        return allowed
