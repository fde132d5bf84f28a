"""Make `rtface/assets/demo.mp4`: one face that moves, comes near, rolls and turns, from one public-domain portrait.

The portrait is NASA's picture of Eileen Collins, which scikit-image ships as `skimage.data.astronaut()` (public
domain). Nothing else is needed: the person is cut out (GrabCut), given a face-shaped relief, turned in 3-D about
the neck, seen in perspective, and laid over the picture's own backdrop, blurred.

    python benchmarks/make_demo.py                     # needs scikit-image; writes rtface/assets/demo.mp4
    python benchmarks/make_demo.py --frames /tmp/look  # also a PNG every half second, to look at

The clip loops: its last frame runs into its first. `pose_at` is the motion that was asked for; the relief is
shallower than a real head, so a pose network reads somewhat smaller angles than these.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import astuple, dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 640, 480, 25
SECONDS = 9.0
#: MPEG-4 part 2, which OpenCV's bundled FFmpeg both writes and reads on every system (it has no H.264 encoder).
FOURCC = "mp4v"
OUTPUT = Path(__file__).resolve().parents[1] / "rtface" / "assets" / "demo.mp4"

# Where things are in the 512x512 portrait, px.
FACE = (224.0, 125.0)  # between eyes and mouth
NECK = (226.0, 185.0)  # what the head turns about
CAMERA = 1100.0  # distance of the camera, in px of the portrait: about a metre and a half for a head of this size

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is at one moment: face centre in px of the frame, size, and angles in degrees (rtface's signs)."""

    x: float
    y: float
    scale: float
    roll: float
    yaw: float
    pitch: float


#: (seconds, pose): between two of them the motion eases in and out.
KEYS: tuple[tuple[float, Pose], ...] = (
    (0.0, Pose(320, 215, 1.60, 0, 0, 0)),
    (1.1, Pose(345, 212, 1.60, 2, 27, 0)),
    (2.5, Pose(295, 212, 1.60, -2, -27, 0)),
    (3.3, Pose(320, 208, 1.65, 0, 0, 17)),
    (4.2, Pose(320, 222, 1.65, 0, 0, -17)),
    (5.1, Pose(205, 220, 1.45, -20, -10, 0)),
    (6.3, Pose(440, 220, 1.45, 20, 12, 3)),
    (7.2, Pose(330, 235, 2.30, 4, 6, 0)),
    (8.1, Pose(400, 250, 1.20, -3, -8, 4)),
    (SECONDS, Pose(320, 215, 1.60, 0, 0, 0)),
)


def pose_at(seconds: float) -> Pose:
    """The asked-for pose at a moment of the clip (0 ... SECONDS), by smoothstep between the keys."""
    for (t0, a), (t1, b) in pairwise(KEYS):
        if seconds <= t1:
            u = min(max((seconds - t0) / (t1 - t0), 0.0), 1.0)
            u = u * u * (3.0 - 2.0 * u)
            return Pose(*(p + (q - p) * u for p, q in zip(astuple(a), astuple(b), strict=True)))
    return KEYS[-1][1]


def cut_out(picture: Array) -> Array:
    """Alpha (512, 512) in 0..1 of the person: GrabCut from a hand-set outline, feathered by a pixel."""
    mask = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    cv2.ellipse(mask, (227, 95), (88, 92), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(mask, (225, 105), (48, 75), 0, 0, 360, cv2.GC_FGD, -1)
    around = [[110, 170], [300, 170], [360, 290], [380, 512], [10, 512], [20, 400], [40, 300], [70, 230]]
    inside = [[150, 200], [280, 200], [310, 270], [300, 512], [60, 512], [60, 320], [90, 250]]
    cv2.fillPoly(mask, [np.array(around, np.int32)], cv2.GC_PR_FGD)
    cv2.fillPoly(mask, [np.array(inside, np.int32)], cv2.GC_FGD)
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, mask, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return cv2.GaussianBlur(cv2.erode(person, np.ones((3, 3), np.uint8)), (0, 0), 0.9)


def backdrop(picture: Array, alpha: Array) -> Array:
    """(HEIGHT, WIDTH, 3) the picture without the person: a blur of what is left."""
    keep = (cv2.dilate(alpha, np.ones((9, 9), np.uint8)) < 0.02).astype(np.float32)[..., None]
    colour = cv2.GaussianBlur(picture.astype(np.float32) * keep, (0, 0), 28.0)
    weight = cv2.GaussianBlur(keep, (0, 0), 28.0)[..., None]
    mean = (colour.sum(axis=(0, 1)) / weight.sum()).astype(np.float32)  # what stands where the person hid everything
    wide = cv2.resize((colour + 0.02 * mean) / (weight + 0.02), (WIDTH, WIDTH), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(wide[:HEIGHT])


def relief() -> Array:
    """Depth (512, 512) towards the camera, px: a barrel for the head, a nose, eye sockets, and a flat body behind."""
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)

    def bump(cx: float, cy: float, sx: float, sy: float) -> Array:
        return np.asarray(np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2)), np.float32)

    across = np.clip(1.0 - ((x - FACE[0]) / 74.0) ** 2, 0.0, 1.0)
    down = np.clip(1.0 - np.abs((y - 100.0) / 92.0) ** 4, 0.0, 1.0)
    depth = cv2.GaussianBlur((66.0 * across * down).astype(np.float32), (0, 0), 5.0)
    depth += 15.0 * bump(222, 130, 8, 10) + 5.0 * bump(223, 112, 6, 10)  # nose: tip, then bridge
    depth -= 4.0 * (bump(201, 102, 10, 6) + bump(247, 103, 10, 6))  # eye sockets
    depth += 4.0 * bump(223, 168, 14, 8)  # chin
    return np.asarray(depth, np.float32)


def head_weight() -> Array:
    """(512, 512) how much of the head's turn a point takes: 1 down to the chin, a quarter in the shoulders."""
    y = np.arange(512, dtype=np.float32)
    u = np.clip((y - 168.0) / 70.0, 0.0, 1.0)
    column = 1.0 - 0.75 * u * u * (3.0 - 2.0 * u)
    return np.repeat(column[:, None], 512, axis=1)


def project(xy: Array, depth: Array, weight: Array, pose: Pose) -> Array:
    """Points of the portrait (..., 2) → px of the frame: turned about the neck, in perspective, in place."""
    yaw, pitch, roll = (np.float32(math.radians(a)) * weight for a in (pose.yaw, pose.pitch, pose.roll))
    x, y, z = xy[..., 0] - np.float32(NECK[0]), xy[..., 1] - np.float32(NECK[1]), depth
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), z * np.cos(pitch) + y * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    nearer = np.float32(CAMERA * pose.scale) / (np.float32(CAMERA) - z)
    shift_x = np.float32((NECK[0] - FACE[0]) * pose.scale + pose.x)
    shift_y = np.float32((NECK[1] - FACE[1]) * pose.scale + pose.y)
    return np.stack([x * nearer + shift_x, y * nearer + shift_y], -1)


def inverse_map(depth: Array, weight: Array, pose: Pose) -> Array:
    """(HEIGHT, WIDTH, 2) the portrait's px that each px of the frame shows, by damped fixed-point steps.

    The angles stay where the relief does not fold over itself, so every pixel has one answer and the steps converge.
    Solved at half the resolution and enlarged: the map is smooth.
    """
    half = (WIDTH // 2, HEIGHT // 2)
    grid = np.stack(np.meshgrid(np.arange(half[0]), np.arange(half[1])), -1).astype(np.float32)
    target = grid * np.float32(2.0) + np.float32(0.5)
    source = (target - np.array((pose.x, pose.y), np.float32)) / np.float32(pose.scale) + np.array(FACE, np.float32)
    for _ in range(30):
        at = (np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1]))
        z = cv2.remap(depth, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        w = cv2.remap(weight, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source += np.float32(0.6 / pose.scale) * (target - project(source, z, w, pose))
    return np.asarray(cv2.resize(source, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)


def frames() -> list[Array]:
    """Every frame of the clip, (HEIGHT, WIDTH, 3) uint8 BGR."""
    astronaut: Any = import_module("skimage.data").astronaut
    picture = np.ascontiguousarray(astronaut()[..., ::-1])
    alpha = cut_out(picture)
    behind = backdrop(picture, alpha)
    layer = np.dstack([picture.astype(np.float32) * alpha[..., None], alpha])  # premultiplied: no dark fringe
    depth, weight = relief(), head_weight()
    clip = []
    for index in range(round(SECONDS * FPS)):
        source = inverse_map(depth, weight, pose_at(index / FPS))
        # Past the portrait's lower edge the suit goes on; elsewhere nothing.
        at = (np.ascontiguousarray(source[..., 0]), np.clip(source[..., 1], -8.0, 510.0))
        seen = cv2.remap(layer, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
        cover = np.clip(seen[..., 3:], 0.0, 1.0)
        picture_now = seen[..., :3] + behind * (1.0 - cover)
        clip.append(np.clip(picture_now + 0.5, 0.0, 255.0).astype(np.uint8))
    return clip


def write(clip: list[Array], path: Path) -> None:
    """Write the clip and read it back: a file that OpenCV cannot play whole is no demo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*FOURCC), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SystemExit(f"cannot write {path}: this OpenCV has no {FOURCC} encoder")
    for frame in clip:
        writer.write(frame)
    writer.release()
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    if count != len(clip):
        raise SystemExit(f"{path} plays {count} of {len(clip)} frames")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make rtface's demo clip from scikit-image's astronaut picture.")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="the clip (default: %(default)s)")
    parser.add_argument("--frames", type=Path, help="a folder for a PNG every half second")
    args = parser.parse_args()
    clip = frames()
    write(clip, args.out)
    if args.frames:
        args.frames.mkdir(parents=True, exist_ok=True)
        for index in range(0, len(clip), FPS // 2):
            cv2.imwrite(str(args.frames / f"{index:04d}.png"), clip[index])
    print(f"{args.out}: {len(clip)} frames, {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
