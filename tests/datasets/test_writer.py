"""Records written as a corpus file are what both readers of the corpus read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rtface.datasets import writer
from rtface.datasets.labelled import FaceLabel, LabelledImage, face_of_landmarks, votes_for
from rtface.datasets.writer import Settings, row, schema, write
from rtface.errors import SourceError
from rtface.evaluate.samples import Samples
from rtface.train.data.pixel_cache import read_pictures
from tests.datasets.made import picture, points
from tests.evaluate.made import SCHEMA

WHOLE = Settings(max_side=0)
GAZE, SHAPES = np.array((-12.5, 4.0), np.float32), np.linspace(0, 1, 52, dtype=np.float32)


def a_record(folder: Path, name: str = "a", width: int = 200, height: int = 150, **more: object) -> LabelledImage:
    mask = np.zeros((height, width), np.uint8)
    mask[40:60, 100:140] = 17
    face = face_of_landmarks(points(68), pose=np.array((10.0, -5.0, 2.0)), box_xyxy=np.array((1.0, 2.0, 70.0, 140.0)))
    record = LabelledImage(
        id=name,
        source="made",
        picture=picture(folder / f"{name}.png", width, height),
        faces=(
            replace(face, box_source="human", yaw_true=15.0, gaze=GAZE, blendshapes52=SHAPES),
            FaceLabel(points5=points(5), points5_source="human"),
        ),
        mask=lambda: mask,
        parsing_scheme="celebamask19",
        parsing_source="human",
        pose_class=2,
    )
    return replace(record, **more)


def test_the_schema_is_the_corpus_and_more() -> None:
    own, corpus = (list(one.field("faces").type.value_type) for one in (schema(), SCHEMA))
    added = {"landmarks68_spread", "gaze", "blendshapes52"}
    assert {field.name for field in own} - {field.name for field in corpus} == added
    assert [field for field in own if field.name not in added] == corpus
    more = {"faces", "ignore_xyxy", "licence"}
    assert [field for field in schema() if field.name not in more] == [
        field for field in SCHEMA if field.name not in more
    ]


def test_training_and_evaluation_read_what_was_written(tmp_path: Path) -> None:
    votes = votes_for("anger")
    records = [
        a_record(tmp_path),
        LabelledImage("v", "made", np.full((48, 48), 7, np.uint8), split="val", emotion_votes=votes),
    ]
    path = tmp_path / "made.parquet"
    assert write(records, path, replace(WHOLE, split="train")) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    (one,) = read_pictures([path], tmp_path / "cache")
    image, mask = records[0].load()
    np.testing.assert_array_equal(one.image, image)
    np.testing.assert_array_equal(one.parsing, mask)
    assert (one.id, one.source, one.split, one.labels.parsing_source) == ("a", "made", "train", "human")
    assert one.labels.pose_class == 2
    first, second = one.faces
    np.testing.assert_allclose(first.landmarks68, points(68), atol=1e-5)
    assert first.landmarks68_source == "human" and first.yaw_true == 15.0
    assert np.array_equal(first.gaze, GAZE) and np.array_equal(first.blendshapes52, SHAPES)
    assert first.pose is not None and first.pose.tolist() == [10.0, -5.0, 2.0]
    assert second.box_xyxy is None and second.points5 is not None and second.points5.tolist() == points(5).tolist()

    train, val = Samples(path, lambda row: True)
    assert train.row.faces[0].box_source == "human" and train.row.emotion_votes is None
    assert val.row.emotion_votes is not None and val.row.emotion_votes.tolist() == votes.tolist()
    assert val.row.split == "val" and val.image.shape == (48, 48, 3) and (val.image == 7).all()


def test_labels_shrink_with_their_picture(tmp_path: Path) -> None:
    whole, half = row(a_record(tmp_path), WHOLE), row(a_record(tmp_path), Settings(max_side=100))
    assert (half["width"], half["height"]) == (100, 75)
    full, small = (np.array(r["faces"][0]["landmarks68"]) for r in (whole, half))
    np.testing.assert_allclose(small, (full + 0.5) / 2 - 0.5, atol=1e-4)
    np.testing.assert_allclose(half["faces"][0]["box_xyxy"], (0.25, 0.75, 34.75, 69.75), atol=1e-4)
    path = tmp_path / "half.parquet"
    write([a_record(tmp_path)], path, Settings(max_side=100))
    (one,) = read_pictures([path], tmp_path / "cache")
    assert one.parsing is not None and one.parsing.shape == (75, 100)
    assert (one.parsing[20:30, 50:70] == 17).all() and (one.parsing == 17).sum() == 200


def test_ignored_faces_and_terms_stay_with_their_picture(tmp_path: Path) -> None:
    ignored = np.array([[9.5, 19.5, 29.5, 39.5], [0, 0, 5, 5]], np.float32)
    images = [replace(a_record(tmp_path), ignore_xyxy=ignored), a_record(tmp_path, "b")]
    images.append(replace(a_record(tmp_path, "c"), licence="CC0"))
    path = tmp_path / "made.parquet"
    write(images, path, Settings(max_side=100, licence="CC-BY-4.0"))
    (one, other, third) = read_pictures([path], tmp_path / "cache")
    np.testing.assert_allclose(one.labels.ignore_xyxy[0], (4.5, 9.5, 14.5, 19.5), atol=1e-4)
    assert len(one.labels.ignore_xyxy) == 2 and other.labels.ignore_xyxy.shape == (0, 4)
    assert [picture.labels.licence for picture in (one, other, third)] == ["CC-BY-4.0", "CC-BY-4.0", "CC0"]


def test_small_pictures_are_not_blown_up_and_files_stay_as_they_are(tmp_path: Path) -> None:
    record = a_record(tmp_path)
    said = row(record, Settings(max_side=640))
    assert (said["width"], said["height"]) == (200, 150)
    assert isinstance(record.picture, Path) and said["image"] == record.picture.read_bytes()


def test_a_turn_mark_does_not_turn_the_picture(tmp_path: Path) -> None:
    """A camera's mark says "turn me"; the labels were made on the pixels as stored."""
    path = picture(tmp_path / "a.jpg", 200, 150)
    data = path.read_bytes()
    turn = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(turn) + 2).to_bytes(2, "big") + turn + data[2:])
    out = tmp_path / "made.parquet"
    write([LabelledImage("a", "made", path)], out, WHOLE)
    (one,) = read_pictures([out], tmp_path / "cache")
    assert one.image.shape == (150, 200, 3)


def test_a_mask_without_a_face_gets_the_face_that_it_shows(tmp_path: Path) -> None:
    from tests.datasets.test_masks import face_mask

    record = LabelledImage("m", "made", np.zeros((64, 64, 3), np.uint8), mask=face_mask, parsing_scheme="celebamask19")
    (face,) = row(record, WHOLE)["faces"]
    assert face["box_source"] == face["points5_source"] == "mask"
    assert face["points5"][:2] == [21.5, 22.0]


def test_an_interrupted_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PART_ROWS", 2)
    loaded: list[str] = []
    original = LabelledImage.load

    def noting(self: LabelledImage) -> object:
        loaded.append(self.id)
        return original(self)

    monkeypatch.setattr(LabelledImage, "load", noting)
    records = [a_record(tmp_path, f"p{k}") for k in range(5)]
    whole = (tmp_path / "p3.png").read_bytes()
    (tmp_path / "p3.png").unlink()
    path, steps = tmp_path / "made.parquet", []
    with pytest.raises(SourceError, match=r"p3\.png: no such file"):
        write(records, path, WHOLE)
    assert not path.exists() and loaded == ["p0", "p1", "p2", "p3"]

    (tmp_path / "p3.png").write_bytes(whole)
    write(records, path, WHOLE, steps.append)
    assert loaded[4:] == ["p2", "p3", "p4"] and steps == [2, 2, 1]
    assert pq.read_table(path)["id"].to_pylist() == [f"p{k}" for k in range(5)]
    assert sorted(p.name for p in tmp_path.iterdir() if "parquet" in p.name) == ["made.parquet"]


def test_other_settings_start_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PART_ROWS", 1)
    records = [a_record(tmp_path, "p0"), a_record(tmp_path, "p1")]
    (tmp_path / "p1.png").unlink()
    path = tmp_path / "made.parquet"
    with pytest.raises(SourceError):
        write(records, path, WHOLE)
    left_out = write(records, path, Settings(max_side=100, skip_bad=True))
    assert len(left_out) == 1 and "p1.png: no such file" in left_out[0]
    table = pq.read_table(path)
    assert table["id"].to_pylist() == ["p0"] and table["width"].to_pylist() == [100]
