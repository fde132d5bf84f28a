from __future__ import annotations

import asyncio
import contextlib
import http.client
import json

import pytest

from rtface.system.http_access import COOKIE, Access, cookie_value, split_host
from tests.serve.served import serving

websockets = pytest.importorskip("websockets", reason="needs pip install 'rtface[serve]'")


@pytest.fixture(scope="module")
def served():
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "127.0.0.1:1:2", "192.168.1.7"]
)
def test_another_host_is_refused_everywhere(served, host):
    for path in ("/", "/healthz", "/api/v1/result", "/metrics", "/ws"):
        assert served.ask(path, Host=host).status == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:9"])
def test_our_own_hosts_are_served(served, host):
    assert served.ask("/healthz", Host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://127.0.0.1",
        "file://",
        "http://[",
        "chrome-extension://x",
    ],
)
def test_pages_of_other_origins_are_refused(served, origin):
    assert served.ask("/api/v1/result", Origin=origin).status == 403
    assert served.ask("/api/v1/options", "PATCH", "{}", Origin=origin, Content_Type="application/json").status == 403


def test_our_own_page_is_served(served):
    assert served.ask("/api/v1/result", Origin=f"http://127.0.0.1:{served.port}").status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_embed_nothing(served, site):
    assert served.ask("/stream.mjpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
    assert served.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200  # a link


def test_every_answer_says_what_a_browser_may_do_with_it(served):
    for path in ("/", "/api/v1/result", "/none", "/api/v1/options"):
        headers = served.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert served.ask("/none", Host="evil").headers["x-frame-options"] == "DENY"


async def _ask(port, origin=None, **more):
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", origin=origin, **more) as socket:
        await socket.send('{"next": true, "picture": true, "parsing": true}')
        return json.loads(await socket.recv()), await socket.recv()


def test_a_websocket_gives_result_and_picture_in_step(served):
    record, picture = asyncio.run(_ask(served.port))
    assert record["kind"] == "frame" and record["picture"] is True
    assert picture[:2] == b"\xff\xd8"
    asyncio.run(_ask(served.port, origin=f"http://localhost:{served.port}"))


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_websocket_of_another_origin_is_refused(served, origin):
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        asyncio.run(_ask(served.port, origin=origin))


def test_a_websocket_of_another_host_is_refused(served):
    with pytest.raises(websockets.exceptions.InvalidStatus, match="400"):
        asyncio.run(_ask(served.port, additional_headers={"Host": "evil.example"}))


def test_nonsense_on_a_websocket_is_answered_and_floods_end_it(served):
    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{served.port}/ws") as socket:
            for text in ("", "null", "[]", "{", '{"next": 0}'):
                await socket.send(text)
                assert json.loads(await socket.recv())["kind"] == "error"
            await socket.send('{"next": true, "camera": "../../etc"}')
            assert json.loads(await socket.recv())["kind"] == "waiting"
            await socket.send("x" * 10000)
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await socket.recv()

    asyncio.run(talk())
    assert served.ask("/healthz").status == 200


def test_a_token_is_asked_for_and_becomes_a_cookie():
    with serving(token="a secret of ours") as served:
        assert served.ask("/healthz").status == 200
        for path in ("/", "/metrics", "/api/v1/result", "/ws", "/stream.mjpg"):
            assert served.ask(path).status == 401
        assert served.ask("/", Authorization="Bearer wrong").status == 401
        assert served.ask("/api/v1/result", Authorization="Bearer a secret of ours").status == 200
        answer = served.ask("/?token=a+secret+of+ours&camera=x")
        assert (answer.status, answer.headers["location"]) == (303, "/?camera=x")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "a secret" not in cookie
        assert served.ask("/", Cookie=cookie.partition(";")[0]).status == 200
        assert served.ask("/", Cookie=f"{COOKIE}=a secret of ours").status == 401
        assert served.ask("/", Cookie='x="\x01; =').status == 401
        assert served.ask("//evil.example/?token=a+secret+of+ours").headers["location"] == "/"
        with pytest.raises(websockets.exceptions.InvalidStatus, match="401"):
            asyncio.run(_ask(served.port))
        asyncio.run(_ask(served.port, additional_headers={"Cookie": f"{COOKIE}={cookie_value('a secret of ours')}"}))


def test_tokens_cannot_be_tried_by_the_thousand():
    with serving(token="a secret of ours") as served:
        codes = [served.ask("/", Authorization=f"Bearer {number}").status for number in range(15)]
        assert codes[0] == 401 and codes[-1] == 429


def test_too_many_requests_are_put_off(monkeypatch):
    monkeypatch.setattr("rtface.system.http_access.BURST", 20.0)
    monkeypatch.setattr("rtface.system.http_access.RATE", 0.1)
    with serving(fed=False) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        codes = []
        for _ in range(30):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            codes.append(answer.status)
        connection.close()
        assert codes[:20] == [200] * 20 and codes[-1] == 429


def test_bodies_are_limited_even_where_they_lie(served):
    for length in ("99999999", "-1", "abc", "1e9"):
        answer = served.ask("/api/v1/options", "PATCH", b"", Content_Length=length, Content_Type="application/json")
        assert answer.status in (400, 413)
    chunks = (b" " * 1000 for _ in range(200))
    kind = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
    with contextlib.suppress(ConnectionError):  # it hangs up on who goes on sending
        assert served.ask("/api/v1/options", "PATCH", chunks, **kind).status == 413
    assert served.ask("/healthz").status == 200


def test_an_open_address_is_served_by_number_and_own_name_only():
    access = Access(
        80, frozenset({"localhost", "kiosk"}), any_address=True, origins=frozenset({"https://front.example"})
    )
    assert all(access.host_allowed(host) for host in ("kiosk", "KIOSK:80", "10.0.0.7", "[fe80::1]:80"))
    assert not any(access.host_allowed(host) for host in ("evil.example", "10.0.0.7.evil", None, "10.0.0"))
    assert access.origin_allowed("http://10.0.0.7") and access.origin_allowed("https://front.example")
    assert not access.origin_allowed("https://front.example.evil")


@pytest.mark.parametrize(
    ("header", "name"),
    [("a:1", "a"), ("[::1]:8", "::1"), ("[::1]", "::1"), ("[::1]x", ""), ("a:b:c", ""), (" A ", "a")],
)
def test_host_headers_are_taken_apart(header, name):
    assert split_host(header)[0] == name
