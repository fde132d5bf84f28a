"""Jitter and lag together: what smoothing the landmarks gains at rest and costs in motion.

    python benchmarks/smoothing.py --png smoothing.png     # needs: pip install 'rtface[test]'
    python benchmarks/smoothing.py --json benchmarks/results/smoothing.jsonl

Made clips (640x480, 30 a second, noise of sigma 3 on every pixel) of one portrait that rests, sways, walks and rolls,
by `benchmarks/people.py`, so that the truth is known. The analyzer's unsmoothed landmarks of every frame are filtered
with a grid of settings:

- jitter: how far a point strays from its mean while the face rests (root mean square, mean over the 68 points), in
  percent of the distance between the eyes' centres. The worst of three sizes of face.
- lag: by how many ms the filtered points are behind the unsmoothed ones, projected on the true velocity.
- mouth: likewise of lips that open and close by 15 % of that distance once a second, added to the resting face.

"each" is the One-Euro filter as in the paper, where each coordinate follows its own speed; "head" follows the speed
that all points share (`rtface.smooth.head_speed`). Prints the curve as a table with the shipped setting marked, then
one JSON line; the picture has jitter against the worst lag.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.people import GUISES, Actor, Image, Place, Scene, play
from rtface.analyzer import Analyzer
from rtface.bench.report import table
from rtface.geometry.crop import POINTS_SIDE, crop_from_landmarks
from rtface.options import Options
from rtface.smooth import OneEuro, head_speed
from rtface.smooth.one_euro import each
from rtface.smooth.smoother import POINTS_PER_SPEED, POINTS_REST_HZ, POINTS_SPEED_HZ
from rtface.system import machine

SCHEMA = "rtface.smoothing/1"
JITTER, LAG_MS, RAW_JITTER = 0.05, 15.0, 0.25
"""What is promised: at most so many percent and ms smoothed, and so many percent unsmoothed."""

WARM_S = 1.5
X, Y, W = 320.0, 240.0, 90.0
TURN = 2.0 * math.pi
RESTS = {f"rest, {width:g} px": width for width in (60.0, 90.0, 150.0)}
MOTIONS: dict[str, Callable[[float], Place]] = {
    "sway 0.5 Hz": lambda t: Place(X + 0.5 * W * math.sin(TURN * 0.5 * t), Y, W),
    "nod 1 Hz": lambda t: Place(X + 0.25 * W * math.sin(TURN * t), Y + 0.1 * W * math.sin(TURN * 1.3 * t), W),
    "walk": lambda t: Place(100.0 + 0.5 * W * t, Y, W),
    "roll 15 deg": lambda t: Place(X, Y, W, 15.0 * math.sin(TURN * 0.5 * t)),
    "approach": lambda t: Place(X, Y, W * (1.0 + 0.25 * math.sin(TURN * 0.4 * t))),
}
SECONDS = 5.0
RESTS_HZ, PER_SPEEDS = (0.1, 0.2, 0.5, 1.0, 2.0), (12.0, 25.0, 50.0, 100.0, 200.0)
SPEEDS = {"each": (each, 1.0), "head": (head_speed, POINTS_SPEED_HZ)}
"""What the cutoffs follow, and the cutoff of the velocity itself in Hz."""

Array = NDArray[Any]


class Recording(NamedTuple):
    """Seconds (T,), unsmoothed points (T, 68, 2) px, and the truth's velocity of each (T, 68, 2) px/s."""

    at: Array
    points: Array
    velocity: Array

    @property
    def sizes(self) -> list[float]:
        """Side of the crop on every frame, as the smoother is given it."""
        return [crop_from_landmarks(points).side for points in self.points]


class Setting(NamedTuple):
    """Of a One-Euro filter."""

    speed: str
    rest_hz: float
    per_speed: float


SHIPPED = Setting("head", POINTS_REST_HZ, POINTS_PER_SPEED)


def record(analyzer: Analyzer, path: Callable[[float], Place], seconds: float = SECONDS) -> Recording:
    """The analyzer's points of a face on its path.

    Raises:
        SystemExit: It was not seen on every frame.
    """
    scene = Scene("one", seconds, [Actor(path, GUISES[0])], noise=3.0)
    analyzer.reset()
    at, points, places = [], [], []
    for time, image, _ in play(scene):
        faces = [face for face in analyzer.video(image, time, tasks=("landmarks",)).faces if not face.predicted]
        if len(faces) != 1 or faces[0].landmarks is None:
            raise SystemExit(f"expected one face at {time:.2f} s, got {len(faces)}")
        at.append(time)
        points.append(faces[0].landmarks.points)
        places.append(path(time))
    times, seen = np.array(at), np.array(points, float)
    return Recording(times, seen, np.gradient(_truth(seen, places), times, axis=0))


def _truth(seen: Array, places: Sequence[Place]) -> Array:
    """The shape that the face has on average, put where it was: (T, 68, 2)."""
    turns = [place.width * np.exp(1j * math.radians(place.roll)) for place in places]
    centres = np.array([complex(place.x, place.y) for place in places])
    own = (seen.view(complex)[..., 0] - centres[:, None]) / np.array(turns)[:, None]
    put = own.mean(axis=0) * np.array(turns)[:, None] + centres[:, None]
    return np.stack((put.real, put.imag), axis=-1)


def smoothed(recording: Recording, setting: Setting) -> Array:
    """The points (T, 68, 2), filtered as the smoother does."""
    speed, speed_hz = SPEEDS[setting.speed]
    euro = OneEuro(setting.rest_hz, setting.per_speed, speed_hz, speed)
    some = zip(recording.points, recording.at.tolist(), recording.sizes, strict=True)
    return np.array([euro(points, at, scale=size) for points, at, size in some])


def jitter(at: Array, points: Array) -> float:
    """Percent of the distance between the eyes."""
    late = points[at >= WARM_S]
    mean = late.mean(axis=0)
    eyes = np.linalg.norm(mean[36:42].mean(axis=0) - mean[42:48].mean(axis=0))
    strays = np.sqrt(np.square(late - mean).sum(axis=-1).mean(axis=0))
    return float(100.0 * strays.mean() / eyes)


def lag_ms(recording: Recording, points: Array) -> float:
    """How long ago the unsmoothed points were where the filtered ones are, on average, in ms."""
    late = recording.at >= WARM_S
    behind, velocity = (recording.points - points)[late], recording.velocity[late]
    return float(1e3 * (behind * velocity).sum() / np.square(velocity).sum())


def mouth(rest: Recording) -> Recording:
    """The resting face, its lower lip and chin opening and closing."""
    eyes = rest.sizes[0] / POINTS_SIDE
    opening = 0.075 * eyes * (1.0 - np.cos(TURN * rest.at))
    moves = np.zeros((1, 68, 2))
    moves[:, [*range(6, 11), *range(55, 60), *range(65, 68)], 1] = 1.0
    shift = opening[:, None, None] * moves
    return Recording(rest.at, rest.points + shift, np.gradient(shift, rest.at, axis=0))


def measure(recordings: dict[str, Recording], setting: Setting) -> dict[str, Any]:
    """HardestCases jitter at rest, and the lag of every motion."""
    stray = {name: jitter(recordings[name].at, smoothed(recordings[name], setting)) for name in RESTS}
    moving = {**{name: recordings[name] for name in MOTIONS}, "mouth": mouth(recordings["rest, 90 px"])}
    lags = {name: lag_ms(one, smoothed(one, setting)) for name, one in moving.items()}
    return {
        **setting._asdict(),
        "jitter": {name: round(value, 4) for name, value in stray.items()},
        "lag_ms": {name: round(value, 2) for name, value in lags.items()},
        "worst_jitter": round(max(stray.values()), 4),
        "worst_lag_ms": round(max(lags.values()), 2),
    }


def text(curve: Sequence[dict[str, Any]], raw: dict[str, float]) -> str:
    """The curve for people."""
    header = ("speed of", "rest Hz", "Hz per side/s", "jitter %", *(f"{name}, ms" for name in (*MOTIONS, "mouth")), "")
    rows = [
        (
            row["speed"],
            f"{row['rest_hz']:g}",
            f"{row['per_speed']:g}",
            f"{row['worst_jitter']:.3f}",
            *(f"{row['lag_ms'][name]:.1f}" for name in (*MOTIONS, "mouth")),
            "<- shipped" if _is_shipped(row) else "ok" if fits(row) else "",
        )
        for row in curve
    ]
    shipped = next(row for row in curve if _is_shipped(row))
    lines = [
        _target("unsmoothed jitter at rest, %", max(raw.values()), RAW_JITTER),
        _target("smoothed jitter at rest, %", shipped["worst_jitter"], JITTER),
        _target("worst lag in motion, ms", shipped["worst_lag_ms"], LAG_MS),
    ]
    unsmoothed = ", ".join(f"{name} {value:.3f} %" for name, value in raw.items())
    return "\n".join([table(header, rows), "", f"unsmoothed: {unsmoothed}", *lines])


def fits(row: dict[str, Any]) -> bool:
    """Whether a setting keeps what is promised."""
    return bool(row["worst_jitter"] <= JITTER and row["worst_lag_ms"] <= LAG_MS)


def _is_shipped(row: dict[str, Any]) -> bool:
    return Setting(row["speed"], row["rest_hz"], row["per_speed"]) == SHIPPED


def _target(name: str, value: float, most: float) -> str:
    return f"{name:<34} {value:>8.3f}   at most {most:g}: {'ok' if value <= most else 'NO'}"


def picture(curve: Sequence[dict[str, Any]]) -> Image:
    """Jitter (up, to 0.25 %) against the worst lag (to the right, to 100 ms), a line for each cutoff at rest."""
    width, height, left, low = 900, 600, 70, 540
    canvas = np.full((height, width, 3), 255, np.uint8)

    def at(lag: float, stray: float) -> tuple[int, int]:
        return round(left + min(lag, 100.0) * 7.8), round(low - min(stray, 0.25) * 2000)

    def write(words: str, place: tuple[int, int], ink: tuple[int, int, int] = (0, 0, 0)) -> None:
        cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)

    cv2.rectangle(canvas, at(0.0, JITTER), at(LAG_MS, 0.0), (220, 240, 220), -1)
    for lag in range(0, 101, 10):
        cv2.line(canvas, at(lag, 0.0), at(lag, 0.25), (225, 225, 225), 1)
        write(f"{lag}", (at(lag, 0.0)[0] - 8, low + 20))
    for step in range(6):
        cv2.line(canvas, at(0.0, 0.05 * step), at(100.0, 0.05 * step), (225, 225, 225), 1)
        write(f"{0.05 * step:.2f}", (left - 45, at(0.0, 0.05 * step)[1] + 5))
    write("worst lag in motion, ms", (380, low + 45))
    write("jitter at rest, % of eye distance; the green corner is what is promised", (left, 25))
    inks = {"each": (200, 120, 40), "head": (40, 60, 200)}
    for row, (speed, ink) in enumerate(inks.items()):
        write(f"each setting's speed: {speed}", (620, 60 + 20 * row), ink)
        for rest in RESTS_HZ:
            line = [one for one in curve if one["speed"] == speed and one["rest_hz"] == rest]
            dots = [at(one["worst_lag_ms"], one["worst_jitter"]) for one in line]
            cv2.polylines(canvas, [np.array(dots, np.int32)], False, ink, 1, cv2.LINE_AA)
            for dot in dots:
                cv2.circle(canvas, dot, 3, ink, -1, cv2.LINE_AA)
            write(f"{rest:g} Hz", (dots[-1][0] + 6, dots[-1][1] - 4), ink)
    shipped = next(one for one in curve if _is_shipped(one))
    cv2.circle(canvas, at(shipped["worst_lag_ms"], shipped["worst_jitter"]), 9, (0, 0, 0), 2, cv2.LINE_AA)
    return canvas


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--png", type=Path, help="draw the curve into this file")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    args = parser.parse_args(given)
    args.options = dict(setting.partition("=")[::2] for setting in args.set)
    return args


def main() -> None:
    args = arguments()
    with Analyzer(Options.load(env={}, **{**args.options, "smooth": False})) as analyzer:
        paths = {name: (lambda t, width=width: Place(X, Y, width)) for name, width in RESTS.items()}
        recordings = {name: record(analyzer, path) for name, path in {**paths, **MOTIONS}.items()}
        described = analyzer.describe()
    settings = [Setting(speed, rest, rise) for speed in SPEEDS for rest in RESTS_HZ for rise in PER_SPEEDS]
    curve = [measure(recordings, setting) for setting in settings]
    raw = {name: jitter(recordings[name].at, recordings[name].points) for name in RESTS}
    print(text(curve, raw))
    record_ = {"schema": SCHEMA, "options": args.options, "raw_jitter": {k: round(v, 4) for k, v in raw.items()}}
    record_ |= {"shipped": SHIPPED._asdict(), "curve": curve}
    line = json.dumps({**record_, "models": described["models"], "machine": machine.facts()})
    print(line)
    if args.png:
        cv2.imwrite(str(args.png), picture(curve))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
