"""No research picture, label or network gets into weights that call themselves open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface import models
from rtface.datasets.labelled import LabelledImage, face_of_landmarks
from rtface.datasets.writer import Settings, write
from rtface.errors import ModelError
from rtface.train.data.samples import teaches
from rtface.train.manifest import Manifest, ParentFacts, SetFacts, describe
from rtface.train.manifest import write as note
from rtface.train.open_set import breaches, is_open, require_open
from rtface.train.open_set import note as note_open
from rtface.train.sources import Source
from rtface.train.synth.assets import TERMS
from tests.conftest import Cli
from tests.train.made import TEMPLATE

CONGRESS = "US Government work / public domain (Biographical Directory of the US Congress); courtesy pictures possible"


def a_set(name: str = "mine", terms: str = "CC0", pictures: int = 3, sha256: str = "ab" * 32) -> SetFacts:
    return SetFacts(name, terms, pictures, f"{name}.parquet", sha256)


@pytest.mark.parametrize(
    "terms", ["CC0 1.0", "CC BY 3.0 (portraits)", "CC-BY-4.0", "MIT", "Apache-2.0", CONGRESS, TERMS]
)
def test_terms_that_allow_commercial_use(terms: str) -> None:
    assert is_open(terms) and not breaches(Manifest("multitask", (a_set(terms=terms),)))


@pytest.mark.parametrize(
    "terms",
    [
        "non-commercial research",
        "research",
        "unknown",
        "Flickr terms",
        "CC BY-NC 4.0",
        "CC-BY-NC-SA-4.0",
        "CC BY-ND 4.0",
        "proprietary",
        "CC0; labels by networks: non-commercial research only",
        "",
    ],
)
def test_terms_that_do_not(terms: str) -> None:
    (line,) = breaches(Manifest("multitask", (a_set(), a_set("other", terms))))
    assert "other.parquet" in line and terms in line


def test_a_licence_beside_a_research_set_does_not_open_it() -> None:
    (line,) = breaches(Manifest("multitask", (a_set("helen", "MIT"),)))
    assert line.startswith("helen") and "publisher" in line


@pytest.mark.parametrize("missing", [{"pictures": 0}, {"sha256": ""}])
def test_a_set_without_count_or_hash_is_not_open(missing: dict[str, object]) -> None:
    assert breaches(Manifest("multitask", (a_set(**missing),)))  # type: ignore[arg-type]
    assert breaches(Manifest("multitask", ()))


def test_a_network_that_saw_research_pictures_is_no_beginning(tmp_path: Path) -> None:
    shipped = models.entry("engine-iter1")
    begun = describe("multitask", (), init=shipped.path)
    assert any("init engine-iter1.onnx" in line for line in breaches(begun))
    note(Manifest("multitask", (a_set("helen", "non-commercial research"),)), tmp_path)
    (tmp_path / "last.pt").write_bytes(b"weights")
    assert any("last.pt" in line for line in breaches(describe("multitask", (), init=tmp_path / "last.pt")))
    note(Manifest("multitask", (a_set(terms=TERMS),)), tmp_path)
    begun = describe("multitask", (), init=tmp_path / "last.pt")
    assert [line for line in breaches(begun) if "last.pt" in line] == []
    open_parent = ParentFacts("teacher", "face_landmarker.task", "cd" * 32, "Apache-2.0")
    assert not breaches(Manifest("multitask", (a_set(),), (open_parent,)))


def test_all_that_is_wrong_is_named_at_once() -> None:
    require_open(Manifest("multitask", (a_set(),)))
    with pytest.raises(ModelError, match=r"afw.*lfpw.*--only-open"):
        require_open(Manifest("multitask", (a_set("afw"), a_set(), a_set("lfpw"))))


def test_a_run_that_learned_from_research_pictures_does_not_become_open(tmp_path: Path) -> None:
    clean, research = Manifest("multitask", (a_set(),)), Manifest("multitask", (a_set("helen", "research"),))
    note_open(research, tmp_path, only_open=False)
    with pytest.raises(ModelError, match="helen"):
        note_open(clean, tmp_path, only_open=True)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "last.pt").write_bytes(b"weights of nobody knows what")
    with pytest.raises(ModelError, match="there is none"):
        note_open(clean, tmp_path, only_open=True)
    (tmp_path / "last.pt").unlink()
    note_open(clean, tmp_path, only_open=True)
    note_open(clean, tmp_path, only_open=True)


def test_training_refuses_research_rows_before_it_begins(corpus: Path, tmp_path: Path, cli: Cli) -> None:
    run = ("--run", tmp_path / "run", "--cache", tmp_path, "--steps", 1, "--batch", 6, "--device", "cpu", "--only-open")
    told = cli("train", "engine", "--data", corpus, *run)
    assert told.code != 0 and "cannot be open" in told.err and "helen" in told.err
    assert not (tmp_path / "run" / "last.pt").exists()


def test_open_rows_are_let_through(tmp_path: Path) -> None:
    picture = np.full((120, 120, 3), 90, np.uint8)
    one = LabelledImage("a", "mine", picture, (face_of_landmarks(TEMPLATE * 20 + 60),), licence="CC0")
    write([one], tmp_path / "mine.parquet", Settings())
    manifest = describe("multitask", (Source("mine", (tmp_path / "mine.parquet",)),), teaches)
    assert [(facts.name, facts.pictures) for facts in manifest.sets] == [("mine", 1)]
    require_open(manifest)
