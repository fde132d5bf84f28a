"""Names of outputs made from their sources'."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.archive.names import check_template, filled, fixed_folder, has_fields
from rtface.errors import UsageError


@pytest.mark.parametrize(
    ("template", "source", "name"),
    [
        ("out/{stem}.jsonl", "visits/door.mp4", "out/door.jsonl"),
        ("{parent}/{stem}-{index}.csv", "/a/b/c.tar.mkv", "b/c.tar-7.csv"),
        ("{index:03d}.jsonl", "x.mp4", "007.jsonl"),
        ("{index:4}.jsonl", "x.mp4", "   7.jsonl"),
        ("plain.jsonl", "x.mp4", "plain.jsonl"),
        ("{stem}.jsonl", "a/{index}.mp4", "{index}.jsonl"),
        ("{stem}.jsonl", "a/what?.mp4", "what_.jsonl"),
        ("{parent}-{stem}.jsonl", "https://user:secret@cam.local/clips/a%20b.mp4?token=abc", "clips-a b.jsonl"),
        ("{stem}.jsonl", "https://cam.local/", "cam.local.jsonl"),
    ],
)
def test_fields_are_filled_from_the_sources_name(template: str, source: str, name: str) -> None:
    assert filled(template, source, 7) == name


def test_the_parent_of_a_name_without_folder_is_the_current_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert filled("{parent}", "x.mp4", 0) == tmp_path.name


def test_what_is_a_template() -> None:
    assert has_fields("out/{stem}.jsonl") and has_fields("{index:04d}.csv")
    assert not has_fields("out/{name}.jsonl") and not has_fields("out.jsonl")


def test_a_misspelt_field_is_named_with_the_nearest() -> None:
    check_template("out/{parent}/{stem}-{index:03d}.jsonl")
    with pytest.raises(UsageError, match="Did you mean stem"):
        check_template("out/{parent}/{stm}.jsonl")


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("out/{stem}.jsonl", "out"),
        ("{stem}.jsonl", "."),
        ("out/x-{parent}/{stem}.csv", "out"),
        ("a/b/{parent}/", "a/b"),
    ],
)
def test_the_folder_of_all_names(template: str, folder: str) -> None:
    assert fixed_folder(template) == Path(folder)
