"""Damaged pictures, losses, crowds, bad servers: a few of each here, thousands in `benchmarks/reliability.py`."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.reliability import damaged
from rtface.system.addresses import shown_address
from tests.reliability.inputs import (
    SERVERS,
    ask_a_server,
    crowd,
    lose_often,
    read_damaged_file,
    read_damaged_picture,
    whole_files,
    whole_pictures,
)


def test_damaged_pictures_are_read_or_refused() -> None:
    rng, pictures = random.Random(3), whole_pictures()
    ends = Counter(read_damaged_picture(damaged(rng.choice(pictures), rng)) for _ in range(150))
    assert set(ends) <= {"read", "refused"}
    assert ends["refused"] > 20


def test_damaged_files_of_labels_networks_and_settings_are_read_or_refused(tmp_path: Path) -> None:
    rng, paths = random.Random(4), whole_files(tmp_path)
    assert {read_damaged_file(path) for path in paths} == {"read"}
    for path in paths:
        whole = path.read_bytes()
        for _ in range(25):
            path.write_bytes(damaged(whole, rng))
            assert read_damaged_file(path) in ("read", "refused"), path.name
        path.write_bytes(whole)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF", b"II*\0", b"P6 "]), st.binary(max_size=300)
)
def test_bytes_of_any_kind_are_read_or_refused(head: bytes, rest: bytes) -> None:
    assert read_damaged_picture(head + rest) in ("read", "refused")


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=12),
    st.sampled_from(["rtsp", "http", "srt"]),
)
@example("#=", "rtsp")
@example("?key=@", "http")
def test_a_password_of_any_letters_is_not_shown(letters: str, scheme: str) -> None:
    secret = f"qZ7{letters}7Zq"
    shown = shown_address(f"{scheme}://admin:{secret}@camera.local/live")
    assert secret not in shown and "7Zq" not in shown
    assert shown.endswith("@camera.local/live")


def test_many_losses_leave_nothing_behind() -> None:
    figures = lose_often(40, random.Random(1))
    assert figures["ok"], figures


def test_many_visitors_leave_nothing_behind() -> None:
    figures = crowd(300)
    assert figures["ok"], figures


@pytest.mark.parametrize("serve", [pytest.param(serve, id=name) for name, serve in SERVERS.items()])
def test_a_server_that_misbehaves_is_one_error(serve: Callable[[socket.socket], None]) -> None:
    end, seconds = ask_a_server(serve)
    assert end == "refused" and seconds < 60.0
