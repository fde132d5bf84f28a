"""Meshes into a corpus file. FaceMesh is a stand-in: in its own process it finds five coloured dots."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import mesh
from benchmarks.mesh import SIDE, MeshProcess, arguments, fill, five_of, run
from rtface.datasets import writer
from rtface.errors import OutputError, SourceError
from rtface.geometry.crop import crop_from_points5, frame_to_crop_matrix
from tests.evaluate.made import FACE, png, record, write

STAND_IN = """
import numpy as np
from types import SimpleNamespace as Some

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))  # RGB
PLACES = ([*range(468, 473)], [*range(473, 478)], [4], [61], [291])

class FaceMesh:
    def __init__(self, static_image_mode, max_num_faces, refine_landmarks, min_detection_confidence):
        print("MediaPipe likes to talk")
        assert static_image_mode and refine_landmarks and max_num_faces == 1

    def process(self, image):
        height, width = image.shape[:2]
        points = np.full((478, 2), 0.5)
        for colour, places in zip(COLOURS, PLACES):
            ys, xs = np.nonzero(np.abs(image.astype(int) - colour).max(axis=2) < 60)
            if not len(xs):
                return Some(multi_face_landmarks=None)
            points[places] = (xs.mean() + 0.5) / width, (ys.mean() + 0.5) / height
        return Some(multi_face_landmarks=[Some(landmark=[Some(x=x, y=y, z=0.0) for x, y in points])])
"""
COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255), (255, 0, 255))  # BGR
FIVE = np.array([(60.0, 50.0), (90.0, 54.0), (73.0, 68.0), (60.0, 82.0), (84.0, 85.0)])
Array = np.ndarray[Any, Any]


def dots(*fives: Array, size: tuple[int, int] = (160, 140)) -> Array:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for five in fives:
        for (x, y), colour in zip(five, COLOURS, strict=True):
            cv2.circle(image, (round(x * 16), round(y * 16)), 3 * 16, colour, -1, shift=4)
    return image


def found(crop: Array) -> Array:
    """A mesh whose five points lie where they would in the crop of `FIVE`."""
    cut = crop_from_points5(FIVE)
    matrix = frame_to_crop_matrix(replace(cut, side=mesh.MARGIN * cut.side), SIDE)
    points = np.zeros((478, 2), np.float32)
    for places, five in zip((slice(468, 473), slice(473, 478), 4, 61, 291), FIVE, strict=True):
        points[places] = matrix[:, :2] @ five + matrix[:, 2]
    return points


def a_row(name: str, *faces: dict[str, Any], split: str = "train", **more: Any) -> dict[str, Any]:
    return record(name, dots(FIVE), split=split, faces=list(faces), **more)


FACED = {"points5": FIVE.ravel().tolist(), "points5_source": "human"}


def meshes(path: Path) -> list[list[bool]]:
    return [[face["mesh478"] is not None for face in faces] for faces in pq.read_table(path)["faces"].to_pylist()]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a mediapipe of this source on the path of the processes."""

    def put(source: str) -> None:
        package = tmp_path / "mediapipe" / "python" / "solutions"
        package.mkdir(parents=True)
        (package / "face_mesh.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return put


def test_a_mesh_comes_back_in_the_pictures_pixels(stand_in: Callable[[str], None]) -> None:
    stand_in(STAND_IN)
    with MeshProcess(sys.executable) as process:
        for factor in (1.0, 4.5):  # the second crop is averaged down before it is sampled
            image = cv2.resize(dots(FIVE), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
            five = (FIVE + 0.5) * factor - 0.5  # as pixel centres go
            seen = mesh.mesh_of(image, {"points5": five.ravel().tolist()}, process, 10.0)
            assert isinstance(seen, np.ndarray) and seen.shape == (478, 2)
            np.testing.assert_allclose(five_of(seen), five, atol=0.3 * factor)
        assert mesh.mesh_of(dots(), FACED, process, 10.0) == mesh.NONE
        other = np.add(FIVE, (22.0, 0.0))  # the face that is found is not the one that is meant
        assert mesh.mesh_of(dots(FIVE), {"points5": other.ravel().tolist()}, process, 10.0) == mesh.OTHER


def test_a_process_that_cannot_start_says_why(stand_in: Callable[[str], None]) -> None:
    stand_in("raise ImportError('libGL is missing')")
    with pytest.raises(SystemExit, match=r"(?s)FaceMesh ended with 1:.*libGL is missing"), MeshProcess(sys.executable):
        pytest.fail("entered")


def test_there_is_no_such_interpreter(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"cannot start .*python: No such file"), MeshProcess(tmp_path / "python"):
        pytest.fail("entered")


def test_a_process_that_ends_says_why(stand_in: Callable[[str], None]) -> None:
    stand_in(
        STAND_IN.replace("height, width = image", "raise RuntimeError('out of memory')\n        height, width = image")
    )
    with (
        MeshProcess(sys.executable) as process,
        pytest.raises(SystemExit, match=r"(?s)FaceMesh ended with 1:.*out of memory"),
    ):
        process(np.zeros((SIDE, SIDE, 3), np.uint8))


def test_only_faces_without_a_mesh_of_rows_to_train_on(tmp_path: Path) -> None:
    old = [1.0] * 956
    rows = [
        a_row("new", FACED, FACED | {"mesh478": old}),
        a_row("val", FACED, split="val"),
        a_row("plain", {"box_xyxy": [0.0, 0.0, 9.0, 9.0]}, split="unlabelled"),
        a_row("none"),
    ]
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(write(tmp_path / "in.parquet", rows)))
    filled, missing = fill(table, found, 10.0, renew=False)
    assert missing == [f"plain: {mesh.POINTLESS}"]
    new, val, plain, none = filled["faces"].to_pylist()
    np.testing.assert_allclose(five_of(np.reshape(new[0]["mesh478"], (478, 2))), FIVE, atol=1e-3)
    assert new[1]["mesh478"] == old
    assert val[0]["mesh478"] is None and plain[0]["mesh478"] is None and none == []
    untouched = [name for name in table.column_names if name != "faces"]
    assert filled.select(untouched) == table.select(untouched)
    assert new[0]["points5"] == FACED["points5"] and new[0]["points5_source"] == "human"
    again, _ = fill(table, found, 10.0, renew=True)
    assert again["faces"].to_pylist()[0][1]["mesh478"] != old
    assert fill(table, found, 1000.0, renew=False)[1] == [f"new: {mesh.SMALL}", f"plain: {mesh.POINTLESS}"]


def test_a_file_whose_faces_have_no_such_field_gets_it() -> None:
    fields = [field for field in FACE if field.name != "mesh478"]
    rows = [{"id": "a", "split": "train", "image": png(dots(FIVE)), "faces": [FACED], "extra": 7}]
    types = {"id": pa.string(), "split": pa.string(), "image": pa.binary(), "extra": pa.int8()}
    kind = pa.schema([*types.items(), ("faces", pa.list_(pa.struct(fields)))])
    filled, missing = fill(pa.Table.from_pylist(rows, schema=kind), found, 10.0, renew=False)
    assert not missing and filled["extra"].to_pylist() == [7]
    assert len(filled["faces"].to_pylist()[0][0]["mesh478"]) == 956


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PART_ROWS", 2)
    file = write(tmp_path / "in.parquet", [a_row(f"r{k}", FACED) for k in range(5)])
    args = arguments([str(file), "--out", str(tmp_path / "out.parquet")])
    asked = 0

    def interrupted(crop: Array) -> Array:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise KeyboardInterrupt
        return found(crop)

    with pytest.raises(KeyboardInterrupt):
        run(args, lambda: nullcontext(interrupted))
    assert not args.out.exists()
    said = run(args, lambda: nullcontext(interrupted))
    assert asked == 4 + 3  # the first two rows were whole
    assert said == f"{args.out}  5 faces with a mesh" and meshes(args.out) == [[True]] * 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]
    with pytest.raises(OutputError, match="exists already"):
        run(args, lambda: nullcontext(found))
    few = arguments([str(file), "--out", str(args.out), "--overwrite", "--limit", "3", "--min-side", "999"])
    assert run(few, lambda: nullcontext(found)) == f"{args.out}  0 faces with a mesh, 3 too small"
    assert meshes(args.out) == [[False]] * 3


def test_what_cannot_be_read_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["in.parquet", "--out", "out.parquet", "--limit", "0"])
    assert "expected 1 or more, got 0" in capsys.readouterr().err
    file = write(tmp_path / "in.parquet", [a_row("bad", FACED) | {"image": b"no picture"}])
    with pytest.raises(SourceError, match="bad: its bytes do not decode"):
        run(arguments([str(file), "--out", str(tmp_path / "out.parquet")]), lambda: nullcontext(found))
    with pytest.raises(OutputError, match="its folder does not exist"):
        run(arguments([str(file), "--out", str(tmp_path / "no" / "out.parquet")]), lambda: nullcontext(found))
    pq.write_table(pa.table({"id": ["a"]}), file)
    with pytest.raises(SourceError, match=r"lacks the columns image, source, split"):
        run(arguments([str(file), "--out", str(tmp_path / "out.parquet")]), lambda: nullcontext(found))


LANDMARKER = """
from types import SimpleNamespace as Some

class Options(Some):
    pass

class FaceLandmarker:
    @classmethod
    def create_from_options(cls, options):
        assert options.output_face_blendshapes and options.base_options.model_asset_path == "face.task"
        return cls()

    def detect(self, image):
        if not image.data.any():
            return Some(face_landmarks=[], face_blendshapes=[])
        points = [Some(x=0.5, y=0.25)] * 478
        return Some(face_landmarks=[points], face_blendshapes=[[Some(score=i / 52) for i in range(52)]])
"""


def test_a_landmarker_says_blend_shapes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mediapipe" / "tasks" / "python"
    package.mkdir(parents=True)
    (tmp_path / "mediapipe" / "__init__.py").write_text(
        "from types import SimpleNamespace as Some\nImage = Some\nImageFormat = Some(SRGB=1)\n"
    )
    (package / "__init__.py").write_text("from types import SimpleNamespace as BaseOptions\n")
    (package / "vision.py").write_text(LANDMARKER + "FaceLandmarkerOptions = Options\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with MeshProcess(sys.executable, Path("face.task")) as process:
        seen = process(np.full((SIDE, SIDE, 3), 9, np.uint8))
        assert seen is not None and seen[0].tolist() == [SIDE / 2 - 0.5, SIDE / 4 - 0.5]
        assert process.blend_shapes is not None and process.blend_shapes[26] == 0.5
        row = a_row("val", FACED, split="val")
        table = pa.Table.from_pylist([row], schema=pq.read_schema(write(tmp_path / "in.parquet", [row])))
        assert process(np.zeros((SIDE, SIDE, 3), np.uint8)) is None and process.blend_shapes is None

    def shown(crop: Array) -> Array:
        return found(crop)

    shown.blend_shapes = np.linspace(0, 1, 52, dtype=np.float32)  # type: ignore[attr-defined]
    filled, _ = fill(table, shown, 10.0, renew=True, splits=("val",))
    assert filled["faces"].to_pylist()[0][0]["blendshapes52"][-1] == 1.0
