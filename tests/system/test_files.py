"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rtface.system.files import (
    LONGEST_NAME,
    PartFile,
    TakenError,
    atomic_write,
    lock,
    stale_parts,
    write_private,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions, links and locks")


def test_a_file_is_the_old_one_until_it_is_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(TakenError) as taken, atomic_write(path, overwrite=False) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    (kept,) = set(tmp_path.iterdir()) - {path}
    assert kept.read_bytes() == b"mine" and str(kept) in str(taken.value)
    with pytest.raises(TakenError), atomic_write(path, overwrite=False) as file:
        file.write(b"mine again")
    assert len(list(tmp_path.iterdir())) == 3


@posix
def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", refuse)
    with atomic_write(tmp_path / "a", overwrite=False) as file:
        file.write(b"a")
    assert (tmp_path / "a").read_bytes() == b"a"
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "b", overwrite=False):
        (tmp_path / "b").symlink_to("nowhere")
    assert (tmp_path / "b").is_symlink()


@posix
def test_permissions_are_the_users_and_those_of_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write = tmp_path / "new"
        with atomic_write(write):
            pass
        old = tmp_path / "old"
        old.touch()
        old.chmod(0o600)
        with atomic_write(old):
            pass
        write_private(tmp_path / "cache", b"plan")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old", "cache")]
    assert modes == [0o640, 0o600, 0o600]


def test_a_long_name_has_a_part_too(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 124 + ".json")  # 253 bytes
    with atomic_write(path) as file:
        file.write(b"{}")
    assert path.read_bytes() == b"{}"
    part = PartFile(path, overwrite=False)
    assert len(os.fsencode(part.path.name)) <= LONGEST_NAME
    part.keep()


def test_what_was_marked_is_kept(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.mp4", overwrite=False)
    part.write(b"whole")
    part.mark()
    part.write(b"half")
    assert part.keep() == part.path and part.path.read_bytes() == b"whole"
    nothing = PartFile(tmp_path / "b.mp4", overwrite=False)
    nothing.write(b"half")
    assert nothing.keep() is None and not nothing.path.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from rtface.system.files import PartFile
part = PartFile(Path(sys.argv[1]), overwrite=False)
part.write(b"fragment")
print(part.path, flush=True)
if sys.stdin.read(1):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_a_part_is_stale_when_its_run_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None and run.stdout is not None
        part = Path(run.stdout.readline().strip())
        assert part.exists() and stale_parts(path) == []
        run.stdin.write("x")
        run.stdin.flush()
        run.wait(10)
    assert stale_parts(path) == [part]
    assert stale_parts(tmp_path / "b.mp4") == stale_parts(tmp_path / "none" / "a.mp4") == []


@posix
@pytest.mark.parametrize("stem", ["a" * 251, "ä" * 125 + "a", "\udce4" * 251])
def test_parts_of_long_names_are_found_too(tmp_path: Path, stem: str) -> None:
    part = PartFile(tmp_path / f"{stem}.mp4", overwrite=False)
    part.write(b"fragment")
    part.mark()
    left = part.keep()
    assert left is not None and len(os.fsencode(left.name)) <= LONGEST_NAME
    assert stem.startswith(left.name.partition(".part-")[0]), "no letter is cut in two"
    assert stale_parts(part.target) == [left]


@posix
def test_a_lock_is_one_runs(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as first, path.open("wb") as second:
        assert lock(first.fileno())
        assert not lock(second.fileno())
    with path.open("wb") as third:
        assert lock(third.fileno())
