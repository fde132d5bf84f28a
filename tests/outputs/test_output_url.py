"""Outputs named by addresses, and settings behind a file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import UsageError
from rtface.outputs.output_url import parse_output_url, scheme_of, split_settings
from rtface.outputs.secrets import secret_of


def test_an_address_taken_apart() -> None:
    url = parse_output_url("MQTT://me:p%40ss@Broker.local:1884/home/door?qos=1&tls&rate=2.5", port=1883)
    assert (url.scheme, url.host, url.port, url.user, url.password) == ("mqtt", "broker.local", 1884, "me", "p@ss")
    assert url.path == "/home/door" and url.shown == "MQTT://…@Broker.local:1884/home/door?qos=1&tls&rate=2.5"
    assert url.whole("qos", 0) == 1 and url.switch("tls") and url.number("rate", 1.0, 0.1, 10.0) == 2.5
    assert (url.whole("face", None), url.switch("mirror"), url.one_of("what", "events", "all")) == (
        None,
        False,
        "events",
    )


def test_what_an_address_leaves_out_has_defaults() -> None:
    url = parse_output_url("opentrack://", port=4242)
    assert (url.host, url.port) == ("127.0.0.1", 4242)
    assert parse_output_url("lsl:faces").path == "faces"
    assert parse_output_url("osc://[::1]:9000").host == "::1"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("zz=1", "setting 'zz': is unknown. Known are face, mirror"),
        ("mirorr=1", "Did you mean mirror?"),
        ("mirror=2", "expected mirror to be 1 or 0, got '2'"),
        ("face=x", "expected face to be a whole number from 0 to 2147483647, got 'x'"),
        ("face=-1", "got '-1'"),
    ],
)
def test_settings_that_cannot_be(settings: str, says: str) -> None:
    url = parse_output_url(f"osc://me:secret@host?{settings}")
    with pytest.raises(UsageError) as caught:
        url.only("face", "mirror")
        url.switch("mirror")
        url.whole("face", None)
    assert says in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["nan", "inf", "0", "99999", "x", ""])
def test_numbers_out_of_range(value: str) -> None:
    with pytest.raises(UsageError, match="expected fov to be a number from 10 to 170"):
        parse_output_url(f"osc://host?fov={value}").number("fov", 60.0, 10.0, 170.0)


def test_an_address_that_cannot_be_read_does_not_show_its_password() -> None:
    for address in ("osc://me:secret@host:port", "osc://me:secret@host:70000", "osc://[half"):
        with pytest.raises(UsageError, match="is no address") as caught:
            parse_output_url(address)
        assert "secret" not in str(caught.value)


def test_a_name_is_no_host() -> None:
    rests = {"a": "a", "//b": "b", "//c?face=1": "c", "": "", "?face=1": ""}
    assert {rest: parse_output_url(f"lsl:{rest}").name for rest in rests} == rests


def test_a_drive_letter_is_no_scheme() -> None:
    assert scheme_of("C:\\faces.jsonl") is None and scheme_of("faces.jsonl") is None
    assert scheme_of("OSC://host") == "osc" and scheme_of("lsl:faces") == "lsl"


def test_settings_behind_a_files_name(tmp_path: Path) -> None:
    name, settings = split_settings(f"{tmp_path}/faces.csv?columns=openface")
    assert (name, settings.settings) == (f"{tmp_path}/faces.csv", {"columns": "openface"})
    odd = tmp_path / "what?.csv"
    odd.touch()
    assert split_settings(str(odd))[0] == str(odd) and split_settings(odd)[0] == str(odd)


def test_a_secret_comes_from_a_file_the_environment_or_the_address(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    url = parse_output_url(f"mqtt://me@broker?passfile={file}")
    plain = parse_output_url("mqtt://me:given@broker")
    assert secret_of(url, "passfile", "X", given="given", env={"X": "from env"}) == "from file"
    assert secret_of(plain, "passfile", "X", given=plain.password, env={"X": "from env"}) == "from env"
    assert secret_of(plain, "passfile", "X", given=plain.password, env={}) == "given"
    file.write_text("\n")
    with pytest.raises(UsageError, match="its passfile is empty"):
        secret_of(url, "passfile", "X", env={})
    file.unlink()
    with pytest.raises(UsageError, match="No such file"):
        secret_of(url, "passfile", "X", env={})


def test_the_value_of_an_unknown_setting_is_not_shown() -> None:
    with pytest.raises(UsageError, match="setting 'passwrd': is unknown") as refused:
        parse_output_url("mqtt://broker/t?passwrd=hidden&other=hidden").only("passfile")
    assert "hidden" not in str(refused.value)
