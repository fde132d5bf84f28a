"""The networks that ship on made clips: people who cross and hide keep their ids, and never swap them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.geometry.boxes import iou_matrix
from rtface.options import Options

pytest.importorskip("skimage.data")

from benchmarks.people import Scene, play
from benchmarks.scenes import scenes

SCENES = {scene.name: scene for scene in scenes()}


@pytest.fixture(scope="module", params=["fp32", "int8"])
def analyzer(request: pytest.FixtureRequest) -> Iterator[Analyzer]:
    with Analyzer(Options(tasks=("landmarks",), engine="onnx", precision=request.param)) as opened:
        yield opened


def ids_of_people(analyzer: Analyzer, scene: Scene) -> dict[int, set[int]]:
    """Every id that was shown on each person while most of the face could be seen."""
    analyzer.reset()
    ids: dict[int, set[int]] = {}
    for at, image, truth in play(scene):
        faces = analyzer.video(image, at).faces
        boxes = np.array([face.box_xyxy for face in faces], float).reshape(-1, 4)
        overlaps = iou_matrix(np.array(truth.boxes_xyxy, float).reshape(-1, 4), boxes)
        for person, seen, overlap in zip(truth.ids, truth.seen, overlaps, strict=True):
            if seen > 0.9 and overlap.size and overlap.max() > 0.5:
                ids.setdefault(person, set()).add(faces[int(overlap.argmax())].track_id or 0)
    return ids


@pytest.mark.parametrize("name", SCENES)
def test_everybody_has_one_id_and_nobody_anothers(analyzer: Analyzer, name: str) -> None:
    ids = ids_of_people(analyzer, SCENES[name])
    people = sum(actor.guise is not None for actor in SCENES[name].actors)
    assert len(ids) == people
    assert all(len(own) == 1 for own in ids.values()), ids
    assert len(set.union(*ids.values())) == people, ids
