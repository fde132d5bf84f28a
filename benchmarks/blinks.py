"""Blinks of made clips: synthetic heads that blink when they are told to, and the events that rtface makes of them.

    python benchmarks/blinks.py --assets makehuman_head_assets.tar.xz
    python benchmarks/blinks.py --assets makehuman_head_assets.tar.xz --people 20 --clip worst.mp4

Each person is filmed for some seconds by a camera that stands still: the head sways, the eyes wander (down too), the
mouth talks and smiles, and the eyes blink now and then: shut within 60 ms, open again within 120, shut for up to 100
in between (Kwon et al., "High-speed camera characterization of voluntary eye blinking kinematics", J. R. Soc. Interface
2013, has 100 to 300 ms in all). A blink is found where an event overlaps the time that the eyes were told to be more
than half shut, each once. Prints precision, recall and F, then one JSON line. Needs `pip install 'rtface[synth]'`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer import Analyzer
from rtface.cli.progress_bar import progress_bar
from rtface.options import Options
from rtface.train.synth import identity, lights
from rtface.train.synth.assets import Assets, unpack
from rtface.train.synth.camera import Camera, photographed
from rtface.train.synth.gl import Renderer
from rtface.train.synth.head import Heads, Shot

SCHEMA = "rtface.blinks/1"
SIDE, FPS = 256, 25.0
SHUTS_S, OPENS_S, STAYS_S = 0.06, 0.12, (0.0, 0.10)
#: An event may lie so far beside the time that the eyes were shut.
SLACK_S = 0.08

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Take:
    """What a person does: blinks begin at `blinks` and stay shut for `stays` seconds."""

    blinks: tuple[float, ...]
    stays: tuple[float, ...]

    def shut(self, at: float) -> float:
        """How far the eyes are shut, 0..1."""
        pairs = zip(self.blinks, self.stays, strict=True)
        return max((_profile(at - began, stay) for began, stay in pairs), default=0.0)

    def spells(self) -> list[tuple[float, float]]:
        """When the eyes are more than half shut."""
        pairs = zip(self.blinks, self.stays, strict=True)
        return [(began + SHUTS_S / 2, began + SHUTS_S + stay + OPENS_S / 2) for began, stay in pairs]


def _profile(since: float, stay: float) -> float:
    if since < 0.0:
        return 0.0
    if since < SHUTS_S + stay:
        return min(since / SHUTS_S, 1.0)
    return max(1.0 - (since - SHUTS_S - stay) / OPENS_S, 0.0)


def take(rng: np.random.Generator, seconds: float) -> Take:
    """Blinks 0.8 to 3 s apart; the first second shows the face at rest."""
    began, blinks = 1.0, []
    while (began := began + rng.uniform(0.8, 3.0)) < seconds - 0.5:
        blinks.append(began)
    return Take(tuple(blinks), tuple(rng.uniform(*STAYS_S, len(blinks)).tolist()))


def film(rng: np.random.Generator, heads: Heads, assets: Assets, seconds: float) -> tuple[list[Array], Take]:
    """A person's frames (H, W, 3) uint8 BGR, and what it was told to do."""
    person, scene, told = identity.sample(rng, assets), lights.sample(rng), take(rng, seconds)
    while person.mask or person.glasses == 2:  # what hides the eyes says nothing of blinks
        person = identity.sample(rng, assets)
    rest = rng.normal(size=2) * (12.0, 6.0)
    camera = Camera(SIDE, float(rng.uniform(1.5, 2.1)), 25.0, (0.0, 0.0))
    phases = rng.uniform(0, 2 * np.pi, 8)
    talks, smiles = rng.random() < 0.6, rng.random() < 0.5
    behind, seed = lights.background(rng, SIDE, SIDE, ()), int(rng.integers(1 << 30))
    look, frames = np.zeros(2), []
    for index in range(int(seconds * FPS)):
        at = index / FPS
        sway = np.array([np.sin(0.9 * at + phases[0]), np.sin(0.7 * at + phases[1]), np.sin(0.5 * at + phases[2])])
        pose = np.array((*rest, 0.0)) + sway * (6.0, 4.0, 3.0)
        if index % 18 == 0:  # eyes jump
            look = np.zeros(2) if rng.random() < 0.5 else rng.normal(size=2) * (10.0, 7.0)
        shut = told.shut(at)
        weights = {"eyeBlink_L": 0.05 + 0.95 * shut, "eyeBlink_R": 0.05 + 0.95 * shut}
        if talks:
            weights["jawOpen"] = 0.25 * max(np.sin(9.0 * at + phases[3]), 0.0)
        if smiles:
            amount = 0.6 * max(np.sin(1.3 * at + phases[4]), 0.0)
            weights |= dict.fromkeys(("mouthSmile_L", "mouthSmile_R"), amount)
            weights |= dict.fromkeys(("eyeSquint_L", "eyeSquint_R"), amount / 2)
        shot = Shot(pose, np.zeros(3), pose[:2] * 0.5 + look, weights, camera, scene.light, seed)
        rendered, _ = heads.render(person, shot, np.random.default_rng(seed))
        linear = rendered.linear + scene.background * behind * (1 - rendered.cover[..., None])
        frames.append(photographed(np.random.default_rng(seed), linear, scene.night))
    return frames, told


def events_of(frames: Sequence[Array], analyzer: Analyzer) -> list[tuple[float, float]]:
    """Blinks that rtface tells of a clip: when they began and ended."""
    analyzer.reset()
    found: list[tuple[float, float]] = []
    for index, frame in enumerate(frames):
        canvas = cv2.copyMakeBorder(frame, 52, 52, 192, 192, cv2.BORDER_REPLICATE)
        events = analyzer.video(canvas, at=index / FPS, media_time=index / FPS).events
        found += [(one.at, one.at + (one.duration_s or 0.0)) for one in events if one.kind == "blink"]
    return found


def matched(found: Sequence[tuple[float, float]], told: Sequence[tuple[float, float]]) -> int:
    """How many of the told spells are found, each by one event of its own."""
    free, hits = list(found), 0
    for began, ended in told:
        fits = [one for one in free if one[0] <= ended + SLACK_S and one[1] >= began - SLACK_S]
        if fits:
            free.remove(fits[0])
            hits += 1
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, metavar="FILE", help="the archive of head assets")
    parser.add_argument("--people", type=int, default=8, metavar="N", help="clips (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--clip", type=Path, metavar="MP4", help="write the clip with most errors, to look at")
    args = parser.parse_args()
    assets = Assets(unpack(args.assets))
    heads = Heads(assets, Renderer(SIDE))
    options = Options.load(tasks="landmarks,expression", **dict(one.partition("=")[::2] for one in args.set))
    told = found = hits = 0
    worst: tuple[int, list[Array]] = (-1, [])
    with Analyzer(options) as analyzer, progress_bar("blinks", args.people) as step:
        for person in range(args.people):
            frames, plan = film(np.random.default_rng((args.seed, person)), heads, assets, args.seconds)
            events, spells = events_of(frames, analyzer), plan.spells()
            right = matched(events, spells)
            told, found, hits = told + len(spells), found + len(events), hits + right
            worst = max(worst, (len(spells) + len(events) - 2 * right, frames), key=lambda one: one[0])
            step(1)
    precision, recall = (hits / max(count, 1) for count in (found, told))
    f = 2 * hits / max(told + found, 1)
    print(f"{told} blinks of {args.people} people, {found} told, {hits} right: precision {100 * precision:.1f} %, "
          f"recall {100 * recall:.1f} %, F {100 * f:.1f}")  # fmt: skip
    print(json.dumps({"schema": SCHEMA, "blinks": told, "told": found, "right": hits, "f": round(f, 4)}))
    if args.clip is not None:
        writer = cv2.VideoWriter(str(args.clip), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (SIDE, SIDE))
        for frame in worst[1]:
            writer.write(frame)
        writer.release()


if __name__ == "__main__":
    main()
