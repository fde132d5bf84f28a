from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rtface.system.unit import quoted, unit_text


def unit(*arguments: str, program: str = "/opt/rtface/bin/rtface") -> str:
    return unit_text(Path(program), arguments, name="rtface", about="made", groups=["video"])


def test_it_waits_for_the_first_result_and_is_watched():
    lines = unit("serve", "0").splitlines()
    for line in ("Type=notify", "WatchdogSec=20", "DynamicUser=yes", "Restart=always", "WantedBy=multi-user.target"):
        assert line in lines
    assert "SuccessExitStatus=129 130 143" in lines
    assert "ExecStart=/opt/rtface/bin/rtface serve 0" in lines


def test_what_is_installed_in_a_home_can_be_read():
    assert "ProtectHome=yes" in unit("live")
    assert "ProtectHome=read-only" in unit("live", program="/home/me/venv/bin/rtface")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a-b_c.db", "a-b_c.db"),
        ("two words", '"two words"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('"', '"\\""'),
        ("", '""'),
        ("a\\b", '"a\\\\b"'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word, written):
    assert quoted(word) == written


def test_systemd_accepts_it(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    program = tmp_path / "rtface"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = tmp_path / "rtface.service"
    path.write_text(unit("serve", "rtsp://door/a b?x=50%", program=str(program)))
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "rtface" in line]
    assert said == [] and done.returncode == 0


def test_the_command_line(cli):
    done = cli("service", "--name", "door", "--", "live", "rtsp://me:secret@door/1", "-o", "mqtt://broker")
    assert done.code == 0
    assert "live rtsp://me:secret@door/1 -o mqtt://broker --no-show" in done.out
    assert "Description=rtface: live rtsp://…@door/1" in done.out
    assert "holds a password" in done.err and "secret" not in done.err
    assert "StateDirectory=door" in done.out
    done = cli("service", "--", "live", "http://door/1?user=me&password=secret")
    assert "Description=rtface: live http://door/1?user=me&password=…" in done.out and "chmod 600" in done.err
    assert not cli("service", "--", "live", "rtsp://door/1").err
    assert cli("service", "--", "bench").code == 2
    assert cli("service", "--name", "A b", "--", "serve").code == 2
