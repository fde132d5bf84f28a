"""How well ids hold: made clips of faces that cross, hide, and leave, against the truth.

    python benchmarks/tracking.py                          # needs: pip install trackeval 'rtface[test]'
    python benchmarks/tracking.py --variants 4             # also with other people, sizes and directions
    python benchmarks/tracking.py --png ids.png            # frames of each scene with ids drawn, to look at
    python benchmarks/tracking.py --json benchmarks/results/tracking.jsonl

The analyzer as it ships sees every frame of every scene (640x480, 30 a second; scenes in `benchmarks/scenes.py`). Every
face of a result counts, also one whose place is only predicted. A face of which less than half can be seen is
neither asked for nor held against a tracker. ID switches, fragmentations, MOTA (CLEAR) and IDF1 are TrackEval's,
a match being an IoU of 0.4 or more. Fragmentations are those beyond the truth's own. Prints a table, then one JSON
line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.people import Image, Scene, Truth, play
from benchmarks.scenes import scenes
from rtface.analyzer import Analyzer
from rtface.bench.report import table
from rtface.drawing import draw
from rtface.errors import UsageError
from rtface.geometry.boxes import iou_matrix
from rtface.options import Options
from rtface.system import machine
from rtface.types import FrameResult

SCHEMA = "rtface.tracking/1"
MATCH_IOU = 0.4  # a detector's box of a face, and a face's box: where a forehead ends is a matter of taste
SEEN = 0.5
PICTURES = (0.08, 0.4, 0.5, 0.6, 0.92)
"""Moments of a scene that are drawn, as shares of it."""

MOST_DRAWN = 10

Frames = list[tuple[FrameResult, Truth]]


def watch(analyzer: Analyzer, scene: Scene) -> Frames:
    """What the analyzer says of every frame of a scene, and the truth."""
    analyzer.reset()
    return [(analyzer.video(image, at), truth) for at, image, truth in play(scene)]


def sequence(frames: Frames) -> dict[str, Any]:
    """A scene in TrackEval's words: ids from 0 on, and per frame who is there and how much boxes overlap."""
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    known: dict[int, int] = {}
    people: dict[int, int] = {}
    for result, truth in frames:
        overlap = _overlap(result, truth)
        shown = np.array(truth.seen) >= SEEN
        wanted = _wanted(overlap, shown)
        faces = [face for face, keep in zip(result.faces, wanted, strict=True) if keep]
        persons = [person for person, keep in zip(truth.ids, shown, strict=True) if keep]
        data["gt_ids"].append(np.array([people.setdefault(one, len(people)) for one in persons], int))
        data["tracker_ids"].append(np.array([known.setdefault(face.track_id or 0, len(known)) for face in faces], int))
        data["similarity_scores"].append(overlap[np.ix_(shown, wanted)])
    data |= {"num_gt_ids": len(people), "num_tracker_ids": len(known), "num_timesteps": len(frames)}
    data["num_gt_dets"] = sum(map(len, data["gt_ids"]))
    data["num_tracker_dets"] = sum(map(len, data["tracker_ids"]))
    return data


def _overlap(result: FrameResult, truth: Truth) -> NDArray[Any]:
    boxes = np.array([face.box_xyxy for face in result.faces], float).reshape(-1, 4)
    return iou_matrix(np.array(truth.boxes_xyxy, float).reshape(-1, 4), boxes)


def _wanted(overlap: NDArray[Any], shown: NDArray[Any]) -> NDArray[Any]:
    """Which of the tracker's faces count: not those on a face that is hidden and on none that is seen."""
    on_seen = (overlap[shown] >= MATCH_IOU).any(axis=0)
    on_hidden = (overlap[~shown] > 0.0).any(axis=0)
    return np.asarray(on_seen | ~on_hidden)


def gaps(data: dict[str, Any]) -> int:
    """How often the truth itself comes back after it was hidden."""
    count, before, ever = 0, set[int](), set[int]()
    for ids in data["gt_ids"]:
        now = set(ids.tolist())
        count += len((now - before) & ever)
        before, ever = now, ever | now
    return count


def measure(scene_frames: dict[str, Frames]) -> dict[str, dict[str, float]]:
    """TrackEval's figures of every scene, and of all as "all".

    Raises:
        UsageError: trackeval is not installed.
    """
    try:
        import trackeval
    except ModuleNotFoundError as error:
        raise UsageError("trackeval", "is not installed", "pip install trackeval 'rtface[test]'") from error
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_IOU}
    clear, identity = trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)
    data = {name: sequence(frames) for name, frames in scene_frames.items()}
    clears = {name: clear.eval_sequence(one) for name, one in data.items()}
    identities = {name: identity.eval_sequence(one) for name, one in data.items()}
    own = {name: gaps(one) for name, one in data.items()}
    rows = {name: _row(clears[name], identities[name], own[name]) for name in data}
    whole = clear.combine_sequences(clears), identity.combine_sequences(identities)
    return {**rows, "all": _row(*whole, sum(own.values()))}


def _row(clear: dict[str, Any], identity: dict[str, Any], own_gaps: int) -> dict[str, float]:
    return {
        "switches": int(clear["IDSW"]),
        "fragmentations": max(int(clear["Frag"]) - own_gaps, 0),
        "missed": int(clear["CLR_FN"]),
        "false": int(clear["CLR_FP"]),
        "mota": round(100.0 * float(clear["MOTA"]), 2),
        "idf1": round(100.0 * float(identity["IDF1"]), 2),
    }


def text(rows: dict[str, dict[str, float]]) -> str:
    """The figures for people."""
    header = ("scene", "ID switches", "fragm.", "missed", "false", "MOTA %", "IDF1 %")
    return table(header, [(name, *(f"{value:g}" for value in row.values())) for name, row in rows.items()])


def pictures(scene_frames: dict[str, Frames]) -> Image:
    """A row of frames a scene, with ids drawn."""
    rows = []
    for frames in list(scene_frames.values())[:MOST_DRAWN]:
        some = [frames[int(share * len(frames))][0] for share in PICTURES]
        drawn = [draw(result.frame.image, result, layers=("landmarks", "box", "label")) for result in some]
        rows.append(np.hstack([cv2.resize(one, (320, 240), interpolation=cv2.INTER_AREA) for one in drawn]))
    return np.asarray(np.vstack(rows), np.uint8)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--variants", type=int, default=1, help="versions of each scene (default: %(default)s)")
    parser.add_argument("--png", type=Path, help="draw frames of every scene into this file")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    args = parser.parse_args(given)
    args.options = dict(setting.partition("=")[::2] for setting in args.set)
    return args


def main() -> None:
    args = arguments()
    with Analyzer(Options.load(env={}, **args.options)) as analyzer:
        some = [scene for variant in range(args.variants) for scene in scenes(variant)]
        frames = {scene.name: watch(analyzer, scene) for scene in some}
        described = analyzer.describe()
    rows = measure(frames)
    record = {"schema": SCHEMA, "match_iou": MATCH_IOU, "options": args.options, "scenes": rows}
    record |= {"models": described["models"], "machine": machine.facts()}
    line = json.dumps(record)
    print(text(rows))
    print(line)
    if args.png:
        cv2.imwrite(str(args.png), pictures(frames))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
