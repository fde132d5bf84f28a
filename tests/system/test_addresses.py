"""What of an address may be shown."""

from __future__ import annotations

import random
import string

import pytest

from rtface.system.addresses import shown_address, shown_text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam.local:554/stream1", "rtsp://cam.local:554/stream1"),
        ("rtsp://admin:secret@cam.local/stream", "rtsp://…@cam.local/stream"),
        ("rtsp://admin@cam.local/stream", "rtsp://…@cam.local/stream"),
        ("rtsp://user:p@ss@cam/stream", "rtsp://…@cam/stream"),
        ("rtsp://user:p/a?s#s@cam/stream", "rtsp://…@cam/stream"),
        ("rtsp://user:p@s/s@cam/stream", "rtsp://…@cam/stream"),
        ("rtsp://user:12/34@cam/stream", "rtsp://…@cam/stream"),
        ("rtsp://:secret@[::1]:554/x", "rtsp://…@[::1]:554/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://host/@rtface/x", "https://host/@rtface/x"),
        ("https://host:8080/@rtface", "https://host:8080/@rtface"),
        ("https://host/x?to=a@b.org", "https://host/x?to=a@b.org"),
        ("https://u:p@host/x?to=a@b.org", "https://…@host/x?to=a@b.org"),
        ("http://cam/video.cgi?user=me&pwd=secret&res=1", "http://cam/video.cgi?user=me&pwd=…&res=1"),
        ("http://cam/v.cgi?loginuse=me&loginpas=secret", "http://cam/v.cgi?loginuse=me&loginpas=…"),
        ("http://cam/v.cgi?pw=secret&res=1", "http://cam/v.cgi?pw=…&res=1"),
        ("http://cam/v.cgi?u=me&p=secret", "http://cam/v.cgi?u=me&p=…"),
        ("http://cam/v.cgi?p=secret&user=me", "http://cam/v.cgi?p=…&user=me"),
        ("http://cam/list?p=3", "http://cam/list?p=3"),
        ("gst:rtspsrc user-id=me user-pw=secret ! decodebin", "gst:rtspsrc user-id=me user-pw=… ! decodebin"),
        ("rtsp:me:secret@cam.local/stream", "…@cam.local/stream"),
        ("http:/me:secret@cam.local/stream", "…@cam.local/stream"),
        ("http://cam/v?pass%77ord=secret", "http://cam/v?pass%77ord=…"),
        ("http://cam/v?a=1#access_token=secret", "http://cam/v?a=1#access_token=…"),
        ("srt://host:9000?mode=caller&passphrase=longsecret", "srt://host:9000?mode=caller&passphrase=…"),
        ("srt://host:9000?streamid=#!::u=me,s=secret", "srt://host:9000?streamid=…"),
        (
            "rtsp://10.0.0.2/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp",
            "rtsp://10.0.0.2/user=admin_password=…_channel=1_stream=0.sdp",
        ),
        ("rtsp://10.0.0.2/user=admin&password=secret&channel=1", "rtsp://10.0.0.2/user=admin&password=…&channel=1"),
        ("https://ha.local/api/webhook/kitchen-door", "https://ha.local/api/webhook/…"),
        ("https://maker.host/trigger/x/with/key/abc", "https://maker.host/trigger/x/with/key/…"),
        (
            "https://hooks.host/services/T01/B02/Xk29dk20dk20dk20dk20dk20",
            "https://hooks.host/services/T01/B02/…",
        ),
        (
            "https://s3.host/v.mp4?X-Amz-Credential=AB&X-Amz-Signature=CD&x=1",
            "https://s3.host/v.mp4?X-Amz-Credential=…&X-Amz-Signature=…&x=1",
        ),
        ("mqtt://me:secret@broker/rtface?passfile=/x", "mqtt://…@broker/rtface?passfile=…"),
        ("me:secret@cam.local/stream", "…@cam.local/stream"),
        ("//me:secret@cam.local/stream", "…@cam.local/stream"),
        ("rtsp//me:secret@cam.local/stream", "…@cam.local/stream"),
        ("http://cam/v?pin=1234&res=1", "http://cam/v?pin=…&res=1"),
        ("http://cam/v?code=abc&codec=h264", "http://cam/v?code=…&codec=h264"),
        ("http://cam/v?login=me:secret", "http://cam/v?login=…"),
        ("http://cam/v?user=me", "http://cam/v?user=me"),
        ("http://cam/v?kennwort=secret", "http://cam/v?kennwort=…"),
        ("http://cam/v?password:secret", "http://cam/v?password:…"),
        ('http://cam/v?{"password":"my secret"}', 'http://cam/v?{"password":…}'),
        ("http://cam/auth/live.m3u8", "http://cam/auth/live.m3u8"),
        ("http://cam/auth/my.secret/live.m3u8", "http://cam/auth/…/live.m3u8"),
        ("https://chat.host/api/webhooks/12/secret", "https://chat.host/api/webhooks/…/…"),
        ("https://api.chat.host/bot1234567:AAhidden-abcdefghij/send", "https://api.chat.host/…/send"),
        ('gst:rtspsrc user-pw="my secret" ! decodebin', "gst:rtspsrc user-pw=… ! decodebin"),
        ("gst:x extra=\"a,Authorization='Basic c2VjcmV0'\" ! y", 'gst:x extra="a,Authorization=…" ! y'),
        ("visit.mp4", "visit.mp4"),
        ("C:\\clips\\visit.mp4", "C:\\clips\\visit.mp4"),
        ("a@b.mp4", "a@b.mp4"),
        ("demo", "demo"),
        ("", ""),
        ("http://[half", "http://[half"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_no_password_gets_through_whatever_characters_it_has() -> None:
    chance = random.Random(1)
    for _ in range(5000):
        password = "".join(chance.choices(string.ascii_letters + string.digits + ":@/!$%^*()_+-.~", k=12))
        # Each piece between marks would be a part of the secret.
        secret = f"Q{password}Q"
        shown = shown_address(f"rtsp://admin:{secret}@cam.local/stream")
        assert shown.endswith("@cam.local/stream") and shown.startswith("rtsp://…@"), secret


def test_masking_twice_changes_nothing() -> None:
    once = shown_address("https://u:p@host/key/abc?token=x&next=rtsp://a:b@c/d")
    assert once == "https://…@host/key/…?token=…&next=rtsp://…@c/d"
    assert shown_address(once) == once


def test_another_librarys_words_are_shown_without_secrets() -> None:
    text = "cannot open 'rtsp://me:secret@cam/x' (password=hunter2, tries 3) at http://cam/?token=abc"
    assert shown_text(text) == "cannot open 'rtsp://…@cam/x' (password=…, tries 3) at http://cam/?token=…"


@pytest.mark.parametrize(
    "address", ["me:secret@cam/x", "rtsp:/me:secret@cam/x", "//me:secret@cam/x", "rtsp//me:secret@cam"]
)
def test_addresses_with_a_slip_in_them_are_shown_without_secrets_in_prose_too(address: str) -> None:
    shown = shown_text(f"error opening {address}: no such file")
    assert "secret" not in shown and shown.startswith("error opening") and shown.endswith(": no such file")


def test_words_around_an_address_stay() -> None:
    text = "at 12:30 mail a@b.org, ratio 16:9 @ 30 fps; note: write to x@y.org"
    assert shown_text(text) == text
