"""What is native code is read only from where nobody else could have put it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rtface.system.trusted import UntrustedError, read_trusted, untrusted_reason

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a profile private by itself")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "rtface" / "plans"
    folder.mkdir(parents=True, mode=0o700)
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o700)
    file = folder / "a.plan"
    file.write_bytes(b"plan")
    file.chmod(0o600)
    return file


def test_a_file_of_the_user_alone_is_read(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_trusted(plan) == b"plan" and untrusted_reason(plan.parent) is None
    monkeypatch.chdir(plan.parent)
    assert read_trusted(Path("a.plan")) == b"plan"
    with pytest.raises(FileNotFoundError):
        read_trusted(plan.with_name("none"))
    with pytest.raises(FileNotFoundError):
        read_trusted(plan.parent / "none" / "a.plan")


@pytest.mark.parametrize("up", [0, 1, 2])
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_every_folder_above_it_is_looked_at(plan: Path, up: int, mode: int) -> None:
    folder = plan.parents[up]
    folder.chmod(mode)
    with pytest.raises(UntrustedError, match=f"{folder} can be written by others"):
        read_trusted(plan)
    assert "can be written by others" in (untrusted_reason(plan.parent) or "")
    folder.chmod(0o1777)  # as /tmp: others cannot touch what is in it
    assert read_trusted(plan) == b"plan"


def test_a_link_is_not_followed(plan: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    plan.unlink()
    plan.symlink_to(other)
    with pytest.raises(UntrustedError, match="is a link"):
        read_trusted(plan)
    assert "is a link" in (untrusted_reason(plan.parent) or "")


def test_a_folder_behind_a_link_is_looked_at_too(plan: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(plan.parent)
    assert read_trusted(link / "a.plan") == b"plan"
    plan.parents[1].chmod(0o777)
    with pytest.raises(UntrustedError, match=r"cache/rtface can be written by others"):
        read_trusted(link / "a.plan")


def test_a_pipe_is_not_waited_for_and_a_large_file_not_read(plan: Path) -> None:
    os.mkfifo(plan.with_name("pipe"), 0o600)
    with pytest.raises(UntrustedError, match="is no file"):
        read_trusted(plan.with_name("pipe"))
    with pytest.raises(UntrustedError, match="has 4 bytes, more than 3"):
        read_trusted(plan, 3)
    with pytest.raises(UntrustedError, match="is no file"):
        read_trusted(plan.parent)


def test_a_file_that_others_can_write_is_not_read(plan: Path) -> None:
    plan.chmod(0o606)
    with pytest.raises(UntrustedError, match=r"a\.plan can be written by others"):
        read_trusted(plan)
    assert str(plan) in (untrusted_reason(plan.parent) or "")


def test_another_users_is_not_read(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(plan, 4711, 4711)
    with pytest.raises(UntrustedError, match="belongs to another user"):
        read_trusted(plan)
