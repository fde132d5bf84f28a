"""68 points of open portraits, corrected by looking at enlarged pictures: proposals, sheets, corrections, corpus files.

    P="open/faces_us_congress.parquet open/faces_uk_parliament.parquet"
    python -m benchmarks.correct_points propose points.json --pictures $P --synth synth.parquet --ids ids.txt
    python -m benchmarks.correct_points sheet points.json --pictures $P --out sheets     # --brows: brows, larger
    python -m benchmarks.correct_points apply points.json --corrections corrections.json
    python -m benchmarks.correct_points write points.json --pictures $P --out hand.parquet --split train
    python -m benchmarks.correct_points others points.json --pictures $P --synth synth.parquet --out rest.parquet

`propose` reads points off each picture's mesh (an Apache-2.0 teacher's) by a map fitted on synthetic heads, and moves
them as the faces already looked at say: nothing under research terms has a part in it. `sheet` draws faces with rulers;
what is read there goes into a JSON file, % of the outer eye corners' distance by picture's id, and `apply` moves them:

    {"uk-parliament-4d6f84df0757": {"jaw": {"0": 2, "8": -3}, "brow_left": {"inner": [0, 2]}, "points": {"48": [1, 0]}}}

(`benchmarks.hand_points.moved` says what the names mean.) A picture of the file that it does not name was looked at and
stays. `write` makes a corpus file of the pictures looked at twice (source ``hand``), `others` one of all other pictures
with the points as the corrected ones would have them (source ``hand-map``). `benchmarks/results/hand_points.json` holds
what was corrected in this way; the pictures are not in the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hand_points import Array, Lesson, brow_tile, distances, face_tile, moved
from rtface.datasets import corpus
from rtface.datasets.labelled import LabelledImage
from rtface.geometry.crop import points5_from_landmarks
from rtface.system.files import atomic_write, write_text
from rtface.train.data.mesh import MeshToPoints

LOOKS = 2  # a picture is corrected when it was looked at so often
FEW = 8  # corrected faces teach the next proposals from here on
_TURNED = 45.0  # degrees: synthetic heads turned further do not tell how portraits' meshes are read
REGIONS = {"jaw": slice(0, 17), "brows": slice(17, 27), "inner 51": slice(17, 68), "all": slice(0, 68)}


def load(path: Path) -> dict[str, Any]:
    """By picture's id: ``split``, ``looks`` and ``points`` (136 numbers, px)."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def save(path: Path, entries: Mapping[str, Any]) -> None:
    """A picture a line, 0.1 px."""
    lines = []
    for name, entry in sorted(entries.items()):
        rounded = entry | {"points": np.round(np.asarray(entry["points"], np.float64), 1).ravel().tolist()}
        lines.append(f"{json.dumps(name)}: {json.dumps(rounded)}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def points_of(entry: Mapping[str, Any]) -> Array:
    return np.asarray(entry["points"], np.float64).reshape(68, 2)


def synthetic_map(path: Path) -> Callable[[Array], Array]:
    """How a mesh tells 68 points, by the synthetic heads of a corpus file."""
    faces = [face for image in corpus.read(path) for face in image.faces]
    known = [(f.mesh478, f.landmarks68) for f in faces if f.pose is not None and abs(float(f.pose[0])) < _TURNED]
    both = [(mesh, points) for mesh, points in known if mesh is not None and points is not None]
    fitted = MeshToPoints([mesh for mesh, _ in both], [points for _, points in both])
    return lambda mesh: np.asarray(fitted(mesh.astype(np.float32)), np.float64)


def portraits(paths: Sequence[Path]) -> dict[str, LabelledImage]:
    """Pictures of one face that has a mesh, by id."""
    images = (image for path in paths for image in corpus.read(path))
    return {image.id: image for image in images if len(image.faces) == 1 and image.faces[0].mesh478 is not None}


def mesh_of(image: LabelledImage) -> Array:
    mesh = image.faces[0].mesh478
    assert mesh is not None, image.id
    return np.asarray(mesh, np.float64)


def reader(
    entries: Mapping[str, Any], images: Mapping[str, LabelledImage], of_mesh: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """Mesh → 68 points, as the faces corrected for training would have them."""
    taught = [i for i, one in entries.items() if one["looks"] >= LOOKS and one["split"] == "train" and i in images]
    if len(taught) < FEW:
        return of_mesh
    meshes = [mesh_of(images[i]) for i in taught]
    lesson = Lesson(meshes, [of_mesh(mesh) for mesh in meshes], [points_of(entries[i]) for i in taught])
    return lambda mesh: lesson(mesh, of_mesh(mesh))


def propose(entries: dict[str, Any], images: Mapping[str, LabelledImage], read: Callable[[Array], Array]) -> None:
    """Add pictures that are not in the file, not looked at yet."""
    for name, image in images.items():
        entries.setdefault(name, {"split": image.split, "looks": 0, "points": read(mesh_of(image)).ravel().tolist()})


def apply(entries: dict[str, Any], corrections: Mapping[str, Any], seen: Sequence[str] = ()) -> None:
    """Move points, and count a look for these pictures and those of `seen`; a ``"skip"`` takes a picture out.

    Raises:
        ValueError: A picture is not in the file, or a control point is not known.
    """
    if strange := sorted({*corrections, *seen} - {*entries}):
        raise ValueError(f"not in the file: {', '.join(strange)}")
    for name in {*corrections, *seen}:
        correction = corrections.get(name, {})
        if correction == "skip":
            del entries[name]
            continue
        points = moved(points_of(entries[name]), correction)
        entries[name] |= {"looks": entries[name]["looks"] + 1, "points": points.ravel().tolist()}


def relabelled(paths: Sequence[Path], label: Callable[[dict[str, Any]], tuple[Array, str] | None]) -> Any:
    """A table of the corpus files' rows whose face gets other points and their source; other columns stay."""
    tables = []
    for path in paths:
        table, rows = corpus.read_table(path), []
        for row in table.to_pylist():
            told = label(row) if len(row["faces"] or ()) == 1 and row["faces"][0]["mesh478"] else None
            if told is not None:
                points, source = np.asarray(told[0], np.float32), told[1]
                five = points5_from_landmarks(points)
                row["faces"][0] |= {"landmarks68": points.ravel().tolist(), "landmarks68_source": source}
                row["faces"][0] |= {"points5": five.ravel().tolist(), "points5_source": source}
                rows.append(row)
        tables.append(pa.Table.from_pylist(rows, schema=table.schema))
    return pa.concat_tables(tables)


def measure(path: Path, read: Callable[[Array], Array]) -> str:
    """How far what is read off meshes lies from hand-set points of a corpus file's val rows: to measure by only."""
    faces = [face for image in corpus.read(path, lambda row: row.split == "val") for face in image.faces]
    human = [(f.mesh478, f.landmarks68) for f in faces if f.landmarks68_source == "human"]
    both = [(mesh, points) for mesh, points in human if mesh is not None and points is not None]
    apart = np.array([distances(np.asarray(points, np.float64), read(np.asarray(mesh))) for mesh, points in both])
    return f"{len(both)} faces: " + ", ".join(f"{n} {apart[:, part].mean():.2f}" for n, part in REGIONS.items())


def report(entries: Mapping[str, Any], images: Mapping[str, LabelledImage], read: Callable[[Array], Array]) -> str:
    """How far corrected points lie from what is read off their meshes, % of the outer eye corners' distance."""
    ids = [name for name, entry in entries.items() if entry["looks"] >= LOOKS and name in images]
    apart = np.array([distances(points_of(entries[name]), read(mesh_of(images[name]))) for name in ids])
    return f"{len(ids)} pictures: " + ", ".join(f"{n} {apart[:, part].mean():.2f}" for n, part in REGIONS.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("propose", "sheet", "apply", "write", "others", "report"))
    parser.add_argument("points", type=Path)
    parser.add_argument("--pictures", type=Path, nargs="+", default=[])
    parser.add_argument("--synth", type=Path, help="a corpus file of `rtface train synth`")
    parser.add_argument("--ids", type=Path, help="a text file: ids of these pictures only, blank between them")
    parser.add_argument("--corrections", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--brows", action="store_true")
    parser.add_argument("--measure", type=Path, help="report: also against people's points in this corpus file")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    needs = {"apply": ("corrections",), "sheet": ("pictures", "out"), "write": ("pictures", "out")}
    needs |= {"propose": ("pictures", "synth"), "report": ("pictures", "synth"), "others": ("pictures", "synth", "out")}
    if missing := [f"--{name}" for name in needs[args.command] if not getattr(args, name)]:
        parser.error(f"{args.command} needs {', '.join(missing)}")
    entries = load(args.points)
    ids = args.ids.read_text("utf-8").split() if args.ids else None
    if args.command == "apply":
        apply(entries, json.loads(args.corrections.read_text("utf-8")), ids or ())
        save(args.points, entries)
        return
    if args.command == "write":
        corrected = {i: one for i, one in entries.items() if one["looks"] >= LOOKS and one["split"] == args.split}
        _store(relabelled(args.pictures, lambda row: _by_hand(corrected, row)), args.out)
        return
    images = portraits(args.pictures)
    if args.command == "sheet":
        _sheets(entries, images, ids if ids is not None else list(entries), args.out, args.brows)
        return
    of_mesh = synthetic_map(args.synth)
    read = reader(entries, images, of_mesh)
    if args.command == "propose":
        propose(entries, {i: images[i] for i in (ids if ids is not None else images)}, read)
        save(args.points, entries)
    elif args.command == "others":
        table = relabelled(args.pictures, lambda row: None if row["id"] in entries else (read(_mesh(row)), "hand-map"))
        _store(table, args.out)
    else:
        print("synthetic map", report(entries, images, of_mesh))
        held_out = {i: one for i, one in entries.items() if one["split"] != "train"}
        print("hand map, val", report(held_out, images, read))
        if args.measure is not None:
            print("synthetic map", measure(args.measure, of_mesh))
            print("hand map", measure(args.measure, read))


def _by_hand(entries: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[Array, str] | None:
    return (points_of(entries[row["id"]]), "hand") if row["id"] in entries else None


def _mesh(row: Mapping[str, Any]) -> Array:
    return np.asarray(row["faces"][0]["mesh478"], np.float64).reshape(478, 2)


def _store(table: Any, path: Path) -> None:
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=256)
    print(f"{path}: {table.num_rows} pictures")


def _sheets(
    entries: Mapping[str, Any], images: Mapping[str, LabelledImage], ids: Sequence[str], out: Path, brows: bool
) -> None:
    """Sheets of four faces, or of eight pairs of brows."""
    out.mkdir(parents=True, exist_ok=True)
    draw, rows = (brow_tile, 4) if brows else (face_tile, 2)
    tiles = [draw(images[i].load()[0], points_of(entries[i]), f"{i} {entries[i]['looks']}") for i in ids]
    for start in range(0, len(tiles), 2 * rows):
        part = tiles[start : start + 2 * rows]
        part += [np.zeros_like(part[0])] * (-len(part) % 2)
        sheet = np.vstack([np.hstack(part[at : at + 2]) for at in range(0, len(part), 2)])
        cv2.imwrite(str(out / f"{start // (2 * rows):03d}.png"), sheet)


if __name__ == "__main__":
    main()
