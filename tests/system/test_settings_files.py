"""JSON and TOML that others may have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtface.errors import OptionError
from rtface.system.json_text import parse_json
from rtface.system.toml import MOST_BYTES, parse_toml, read_toml


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[" * 100_000, "9" * 5000, "{", "", b"\xff", b"\x00"]
)
def test_json_that_is_none_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_json(text)
    assert len(str(refused.value)) < 200


def test_json_that_is_some_is_what_it_says() -> None:
    assert parse_json(b'{"a": [1, 2.5, true, null, "NaN"]}') == {"a": [1, 2.5, True, None, "NaN"]}


@pytest.mark.parametrize("text", ["a = ", "a = " + "9" * 5000, "a = " + "[" * 100_000, "a.b = 1\na = 2"])
def test_toml_that_is_none_is_one_kind_of_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_toml(text)
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match="is not TOML"):
        read_toml(path)


def test_toml_may_begin_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfmax_faces = 2\r\n")
    assert read_toml(path) == {"max_faces": 2}


@pytest.mark.parametrize("data", [b"\xff\xfea\0", b"\0", b"a = '\xe4'"])
def test_what_is_no_utf_8_is_no_toml(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(data)
    with pytest.raises(OptionError, match="is not TOML"):
        read_toml(path)


def test_a_name_that_cannot_be_is_one_error() -> None:
    for name in ("a\0b.toml", "a" * 5000):
        with pytest.raises(OptionError):
            read_toml(Path(name))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a device without an end")  # noqa: PTH110
def test_a_file_without_an_end_does_not_fill_the_memory() -> None:
    with pytest.raises(OptionError, match=f"over {MOST_BYTES // 10**6} MB"):
        read_toml(Path("/dev/zero"))
