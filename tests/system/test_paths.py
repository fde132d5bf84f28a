"""Names of files as people write them, and where caches are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.system import files, paths
from rtface.system.paths import expanded


def test_home_is_put_in_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/x.jpg") == tmp_path / "x.jpg"
    assert expanded("clips/~x.jpg") == Path("clips/~x.jpg")


def test_a_file_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expanded("~nobody-here.mp4") == Path("~nobody-here.mp4")
    Path("~").mkdir()
    Path("~/x.jpg").touch()
    assert expanded("~/x.jpg") == Path("~/x.jpg")


def test_a_name_with_a_nul_stays_as_it_is() -> None:
    assert expanded("~a\0b") == Path("~a\0b")


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_caches_go_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(paths.Path, "home", no_home)
    files._for_this_process.cache_clear()
    folder = files.cache_dir()
    assert folder == files.cache_dir() and folder.is_dir()
    files._for_this_process.cache_clear()


@pytest.mark.skipif("sys.platform == 'win32'")
def test_a_relative_cache_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert files.cache_dir().is_relative_to(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert files.cache_dir() == tmp_path / "cache" / "rtface"
