"""MediaPipe's mesh for the faces of a corpus file that have none: a second teacher for `rtface label`.

    python -m benchmarks.mesh corpus/points5.parquet --out corpus/points5-mesh.parquet
    python -m benchmarks.mesh corpus/points5.parquet --out try.parquet --limit 30
    python -m benchmarks.mesh corpus/landmarks.parquet --out corpus/landmarks-mesh.parquet --renew
    rtface label corpus/points5-mesh.parquet --format parquet --fit corpus/landmarks.parquet --out corpus/own.parquet

Each face of a train or unlabelled row with 5 or 68 points is cut out upright, 256 px a side, and FaceMesh 0.10.21 with
refined lips and irises looks at the crop, in a virtual environment of its own (made on the first call). Its 478 points
become the face's `mesh478` where they agree with the points that the face was cut by; everything else in the file
stays. Val and test rows stay as they are. Ctrl-C loses little: the same command goes on; the file appears when whole.

With --teacher face_landmarker.task (Apache-2.0) it is FaceLandmarker instead, whose 52 blend shapes become
`blendshapes52` beside the mesh: what `rtface train heads` learns from. --val labels val rows too, to measure on them:

    python -m benchmarks.mesh corpus/landmarks.parquet --out heads/landmarks.parquet --teacher face_landmarker.task \\
        --renew --val
    rtface train heads --data heads --run runs/heads --minutes 90
    rtface eval expression --data heads

What to expect: the corpus' own meshes were made on larger pictures than it holds. Of 192 faces of AFW they read the
points at 4.18 % NME, and 3.99 % with own looks (4.37 % alone). Meshes made here, of pictures up to 480 px, give 4.79 %
and 4.32 % with a map fitted on the corpus' meshes; 4.59 % and 4.21 % with one fitted on meshes made here (--renew).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.mesh_worker import POINTS, READY, SHAPES
from benchmarks.peer_venv import MEDIAPIPE, peer_python
from benchmarks.worker import ROOT, Worker
from rtface.cli.progress_bar import progress_bar
from rtface.datasets import corpus
from rtface.datasets.writer import write_parts
from rtface.errors import OutputError, RtfaceError, SourceError, require
from rtface.geometry.crop import Crop, crop_from_points5, crop_to_frame_matrix, map_points, points5_from_landmarks

SIDE = 256  # px of the crop that FaceMesh sees
MARGIN = 1.35  # its side over the engine's crop: FaceMesh finds the face itself, and needs some room around it
#: A mesh further from the points that its face was cut by, mean over five as a share of the engine's crop, is another
#: face's or none. 99.9 % of MTFL's hand-set points lie within 0.04, 95 % of WIDER's by a teacher within 0.075.
AGREES = 0.1
SPLITS = ("train", "unlabelled")
WORKER = ROOT / "benchmarks" / "mesh_worker.py"
_EYES, _NOSE, _MOUTH = ((468, 473), (473, 478)), 4, (61, 291)  # irises, nose tip and mouth corners of the mesh
NONE, OTHER, SMALL, POINTLESS = "no mesh found", "the mesh is elsewhere", "too small", "no points to cut it by"

Array = NDArray[Any]
Mesher = Callable[[Array], Array | None]


class MeshProcess(Worker):
    """`mesh_worker.py` under the interpreter `python`, alive from entering to leaving the context; call it with a crop
    (SIDE, SIDE, 3) uint8 BGR to get its mesh (478, 2) float32 in crop px, or None.

    Args:
        python: Of the environment with MediaPipe.
        teacher: FaceLandmarker's model; None = FaceMesh.

    Attributes:
        blend_shapes: (52,) of the last crop, in MediaPipe's order; None where there are none.
    """

    def __init__(self, python: Path | str, teacher: Path | None = None) -> None:
        self.blend_shapes: Array | None = None
        more = [] if teacher is None else [str(teacher)]
        super().__init__("FaceMesh", [str(python), str(WORKER), str(SIDE), *more])

    def _ready(self) -> None:
        self._read(len(READY))

    def __call__(self, crop: Array) -> Array | None:
        """The crop's mesh. Raises SystemExit as entering does."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(crop).tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # reading says why
        told = np.frombuffer(self._read((POINTS * 2 + SHAPES) * 4), np.float32)
        mesh, shapes = told[: POINTS * 2].reshape(POINTS, 2), told[POINTS * 2 :]
        self.blend_shapes = shapes if np.isfinite(shapes).all() else None
        return mesh if np.isfinite(mesh).all() else None

    def _read(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) < count:
            self._ended()
        return data


def cut(image: Array, crop: Crop) -> Array:
    """(SIDE, SIDE, 3) uint8 of a crop; beyond the picture its border goes on, in which FaceMesh finds more than in
    black."""
    matrix = crop_to_frame_matrix(crop, SIDE)
    if crop.side >= 2 * SIDE:  # bilinear sampling alone would alias
        factor = 2 ** int(np.log2(crop.side / SIDE))
        image = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        matrix /= factor
        matrix[:, 2] += 0.5 / factor - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def five_of(mesh: Array) -> Array:
    """(5, 2) eye centres, nose tip and mouth corners of a mesh (478, 2), in the corpus' order."""
    return np.stack([*(mesh[slice(*eye)].mean(axis=0) for eye in _EYES), mesh[_NOSE], *mesh[list(_MOUTH)]])


def mesh_of(image: Array, face: dict[str, Any], mesher: Mesher, min_side: float) -> Array | str:
    """A face's mesh (478, 2) in px of its picture, or why it has none."""
    if face.get("points5") is not None:
        five = np.reshape(face["points5"], (5, 2))
    elif face.get("landmarks68") is not None:
        five = points5_from_landmarks(np.reshape(face["landmarks68"], (68, 2)))
    else:
        return POINTLESS
    crop = crop_from_points5(five)
    if not crop.finite or crop.side < min_side:
        return SMALL
    wider = replace(crop, side=MARGIN * crop.side)
    seen = mesher(cut(image, wider))
    if seen is None:
        return NONE
    mesh = map_points(crop_to_frame_matrix(wider, SIDE), seen)
    apart = float(np.linalg.norm(five_of(mesh) - five, axis=1).mean())
    return mesh if apart <= AGREES * crop.side else OTHER


def fill(
    table: Any, mesher: Mesher, min_side: float, renew: bool, splits: Sequence[str] = SPLITS
) -> tuple[Any, list[str]]:
    """A corpus table with the meshes that its faces lacked (with `renew`: all meshes anew) and the blend shapes that
    the `mesher` knows, and a line for each face of a row of these splits that has none.

    Raises:
        SourceError: A picture does not decode.
    """
    pa = require("pyarrow", "eval")
    column = table["faces"]
    rows, missing = column.to_pylist(), []
    for at, (name, split, faces) in enumerate(
        zip(table["id"].to_pylist(), table["split"].to_pylist(), rows, strict=True)
    ):
        lacking = [face for face in faces or () if renew or face.get("mesh478") is None]
        if split not in splits or not lacking:
            continue
        image = _decoded(table["image"][at].as_py(), name)
        for face in lacking:
            mesh = mesh_of(image, face, mesher, min_side)
            if isinstance(mesh, str):
                missing.append(f"{name}: {mesh}")
            face["mesh478"] = None if isinstance(mesh, str) else mesh.ravel().tolist()
            shapes = None if isinstance(mesh, str) else getattr(mesher, "blend_shapes", None)
            if shapes is not None or renew:
                face["blendshapes52"] = None if shapes is None else shapes.tolist()
    fields = {field.name: field.type for field in column.type.value_type}
    fields |= dict.fromkeys(("mesh478", "blendshapes52"), pa.list_(pa.float32()))
    filled = pa.array(rows, pa.list_(pa.struct(list(fields.items()))))
    return table.set_column(table.schema.get_field_index("faces"), "faces", filled), missing


def _decoded(data: bytes | None, name: str) -> Array:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise SourceError(name, "its bytes do not decode", "Leave the row out of the file")
    return np.asarray(image)


def run(args: argparse.Namespace, open_mesher: Callable[[], AbstractContextManager[Mesher]]) -> str:
    """Write the file; what to say about it.

    Raises:
        OutputError: The file is there already, or its folder is not.
        SourceError: The corpus file or one of its pictures cannot be read.
    """
    if args.out.exists() and not args.overwrite:
        raise OutputError(str(args.out), "exists already", "Use --overwrite, or another --out")
    if not args.out.parent.is_dir():
        raise OutputError(str(args.out), "its folder does not exist", f"mkdir -p {args.out.parent}")
    table = corpus.read_table(args.file).slice(0, args.limit)
    stat = args.file.stat()
    splits = (*SPLITS, "val") if args.val else SPLITS
    teacher = None if args.teacher is None else args.teacher.name
    plan = json.dumps(
        [MEDIAPIPE, stat.st_size, stat.st_mtime_ns, len(table), args.min_side, args.renew, splits, teacher]
    )
    columns = fill(table.slice(0, 0), lambda crop: None, args.min_side, args.renew)[0].schema
    with open_mesher() as mesher, progress_bar("mesh", len(table)) as step:

        def part(rows: slice) -> tuple[Any, list[str]]:
            return fill(table.slice(rows.start, rows.stop - rows.start), mesher, args.min_side, args.renew, splits)

        missing = write_parts(args.out, columns, len(table), plan, part, step)
    faces = [chunk.flatten().field("mesh478") for chunk in corpus.read_table(args.out)["faces"].chunks]
    counts = Counter(line.rpartition(": ")[2] for line in missing)
    left = "".join(f", {count} {why}" for why, count in counts.most_common())
    return f"{args.out}  {sum(len(some) - some.null_count for some in faces)} faces with a mesh{left}"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="a corpus file (schema in rtface/datasets/corpus.py)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the corpus file to write")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument(
        "--min-side", type=float, default=40.0, metavar="PX", help="side of the engine's crop (default: %(default)s)"
    )
    parser.add_argument("--renew", action="store_true", help="faces that have a mesh get a new one too")
    parser.add_argument("--teacher", type=Path, metavar="TASK", help="face_landmarker.task: blend shapes too")
    parser.add_argument("--val", action="store_true", help="val rows too, to measure on them")
    parser.add_argument("--overwrite", action="store_true", help="overwrite a file that exists")
    parser.add_argument("--peer-python", type=Path, help=f"a Python that has mediapipe {MEDIAPIPE} already")
    args = parser.parse_args(given)
    if args.limit is not None and args.limit < 1:
        parser.error(f"argument --limit: expected 1 or more, got {args.limit}")
    return args


def main() -> None:
    args = arguments()
    try:
        if args.teacher is not None and not args.teacher.is_file():
            raise SourceError(str(args.teacher), "no such file", "It is MediaPipe's face_landmarker.task")
        print(run(args, lambda: MeshProcess(args.peer_python or peer_python(), args.teacher)))
    except RtfaceError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
