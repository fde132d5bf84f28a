"""The scenes of the tracking benchmark: what trackers get wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.people import GUISES, WIDTH, Actor, Path, Place, Scene


def through(*stops: tuple[float, float, float], width: float = 90.0, nod: float = 4.0, phase: float = 0.0) -> Path:
    """A path through (seconds, x, y) that nods a little; before the first and after the last stop nobody is there."""
    times, xs, ys = zip(*stops, strict=True)

    def path(at: float) -> Place | None:
        if not times[0] <= at <= times[-1]:
            return None
        swing = math.sin(2.0 * math.pi * 0.8 * at + phase)
        x, y = float(np.interp(at, times, xs)), float(np.interp(at, times, ys))
        return Place(x, y + nod * swing, width, roll=nod * math.cos(2.0 * math.pi * 0.5 * at + phase))

    return path


def actors(*paths: Path, first: int = 0) -> list[Actor]:
    return [Actor(path, GUISES[(first + row) % len(GUISES)]) for row, path in enumerate(paths)]


def post(x: float, width: float) -> Actor:
    """Something upright before everybody."""
    return Actor(lambda at: Place(x, 0.0, width), None)


def scenes(variant: int = 0) -> Sequence[Scene]:
    """All of them; a variant has other people of another size, every second walks the other way around."""
    return [_varied(scene, variant) for scene in _scenes()]


def _varied(scene: Scene, variant: int) -> Scene:
    if not variant:
        return scene
    turned, grown = variant % 2 == 1, 1.0 + 0.12 * ((variant + 1) // 2) * (-1) ** variant

    def varied(actor: Actor) -> Actor:
        def path(at: float) -> Place | None:
            place = actor.path(at)
            if place is None:
                return None
            x = WIDTH - 1 - place.x if turned else place.x
            return place._replace(x=x, width=place.width * (grown if actor.guise else 1.0))

        guise = actor.guise and GUISES[(GUISES.index(actor.guise) + variant) % len(GUISES)]
        return Actor(path, guise)

    name = f"{scene.name} ({variant})"
    return replace(scene, name=name, actors=[varied(actor) for actor in scene.actors])


def _scenes() -> Sequence[Scene]:
    """Times in seconds, places in px of 640×480."""
    left, right = 90.0, 550.0
    return (
        Scene(
            "cross, 1 face width/s",
            7.0,
            actors(through((0, 150, 240), (7, 490, 240)), through((0, 490, 240), (7, 150, 240), phase=1)),
        ),
        Scene(
            "cross, 3 face widths/s",
            2.0,
            actors(through((0, left, 240), (2, right, 240)), through((0, right, 235), (2, left, 235), phase=1)),
            background="brick",
        ),
        Scene(
            "meet and turn back",
            6.0,
            actors(
                through((0, 150, 240), (2.5, 290, 240), (3, 290, 240), (6, 150, 240)),
                through((0, 490, 240), (2.5, 345, 240), (3, 345, 240), (6, 490, 240), phase=1),
            ),
            background="rocket",
        ),
        Scene(
            "overtake",
            5.0,
            actors(
                through((0, 250, 240), (5, 370, 240)),
                through((0, 90, 245), (5, 560, 245), phase=1),
                first=1,
            ),
            background="gravel",
        ),
        Scene(
            "three cross",
            5.0,
            actors(
                through((0, left, 250), (5, right, 250), width=80),
                through((0, right, 230), (5, left, 230), phase=1),
                through((0, 320, 80), (2.5, 320, 240), (5, 320, 400), width=70, phase=2),
            ),
        ),
        Scene(
            "behind a post, 0.7 s",
            4.0,
            [*actors(through((0, 120, 240), (4, 520, 240))), post(320, 150)],
            background="chelsea",
        ),
        Scene(
            "two behind a post",
            5.0,
            [
                *actors(through((0, 100, 170), (5, 540, 170)), through((0, 540, 330), (5, 100, 330), phase=1), first=2),
                post(320, 150),
            ],
            background="grass",
        ),
        Scene(
            "light goes out for 0.4 s",
            4.0,
            actors(through((0, 150, 240), (4, 270, 240)), through((0, 460, 240), (4, 400, 200), phase=1), first=1),
            dark=((1.5, 1.9),),
        ),
        Scene(
            "one leaves, another enters",
            6.0,
            actors(
                through((0, 300, 240), (1.5, -60, 240)),
                through((3, -60, 240), (4.5, 300, 240), (6, 300, 240), phase=1),
            ),
            background="brick",
        ),
        Scene(
            "out of the picture and back",
            5.0,
            actors(
                through((0, 200, 240), (1.5, 0, 240), (2.0, -40, 240), (2.5, 0, 240), (5, 250, 240)),
                through((0, 450, 240), (5, 450, 240), phase=1),
            ),
            background="gravel",
        ),
    )
