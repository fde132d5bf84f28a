"""What a run learned from, under which terms, and what the export says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtface import models
from rtface.errors import ModelError
from rtface.train.data.samples import teaches
from rtface.train.manifest import Manifest, ParentFacts, SetFacts, describe, read, write
from rtface.train.sources import Source, of_folder


def facts(name: str, terms: str) -> SetFacts:
    return SetFacts(name, terms, 3, f"{name}.parquet", "ab" * 32)


@pytest.mark.parametrize(
    ("terms", "licence", "said"),
    [
        ({"a": "CC0", "b": "CC-BY-4.0"}, None, "CC0; CC-BY-4.0: trained on a, b"),
        ({"a": "CC0", "helen": "non-commercial research"}, None, "non-commercial research only: trained on a, helen"),
        ({"voc2007": "Flickr terms"}, None, "non-commercial research only: trained on voc2007"),
        ({"mine": "unknown"}, None, "unknown: trained on mine"),
        ({"mine": "unknown"}, "MIT", "MIT: trained on mine"),
        (
            {"mine": "unknown", "b": "research"},
            None,
            "non-commercial research only, in part unknown: trained on b, mine",
        ),
        ({"mine": "unknown", "b": "research"}, "MIT", "non-commercial research only: trained on b, mine"),
    ],
)
def test_the_strictest_terms_come_first(terms: dict[str, str], licence: str | None, said: str) -> None:
    manifest = Manifest("multitask", tuple(facts(name, one) for name, one in terms.items()))
    assert manifest.terms(licence) == said


def test_a_network_that_a_run_began_with_has_terms_too() -> None:
    shipped = ParentFacts("init", "engine-iter1.onnx", "cd" * 32, "non-commercial research only")
    said = Manifest("multitask", (facts("mine", "CC0"),), (shipped,)).terms()
    assert said == (
        "non-commercial research only: trained on mine; init engine-iter1.onnx (non-commercial research only)"
    )


def test_sets_are_counted_hashed_and_read_back(corpus: Path, tmp_path: Path) -> None:
    both = Source("both", (corpus / "landmarks.parquet", corpus / "negatives.parquet"), only=("helen", "negative"))
    shipped = models.entry("engine-iter1")
    manifest = describe("multitask", (both,), teaches, init=shipped.path, teacher=tmp_path / "gone.pt")
    counts = {one.name: (one.pictures, one.file, one.terms) for one in manifest.sets}
    assert counts["helen"] == (2, "landmarks.parquet", "non-commercial research")
    assert set(counts) == {"helen", "negative"} and counts["negative"][0] == 2
    init, teacher = manifest.parents
    assert (init.sha256, init.terms) == (shipped.sha256, shipped.weights_licence.partition(":")[0])
    assert (teacher.file, teacher.terms) == ("gone.pt", "unknown")
    write(manifest, tmp_path / "run")
    assert read(tmp_path / "run") == manifest
    begun = describe("multitask", (both,), teaches, init=tmp_path / "run" / "last.pt")
    assert begun.parents[0].terms.startswith("non-commercial research only")  # inherited from run to run


def test_a_missing_and_a_damaged_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is none.*--license TEXT"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"network": "x"}), "utf-8")
    with pytest.raises(ModelError, match="is damaged"):
        read(tmp_path)


def test_a_folder_of_any_names_gives_the_files_that_teach(corpus: Path) -> None:
    names = {source.name for source in of_folder(corpus, teaches)}
    assert {"landmarks", "parsing", "emotion", "points5", "negatives"} <= names and "detection" not in names
