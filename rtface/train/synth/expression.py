"""Expressions: weights of ICT-FaceKit's shapes, and what they are in MediaPipe's order of 52."""

from __future__ import annotations

import numpy as np

from rtface.datasets.labelled import MEDIAPIPE_BLENDSHAPES, Array

#: Both sides' shapes carry Left or Right in the 52 and _L or _R in ICT-FaceKit's files.
_TWO_SIDED = [
    "browDown",
    "browOuterUp",
    "cheekSquint",
    "eyeBlink",
    "eyeLookDown",
    "eyeLookIn",
    "eyeLookOut",
    "eyeLookUp",
    "eyeSquint",
    "eyeWide",
    "mouthDimple",
    "mouthFrown",
    "mouthLowerDown",
    "mouthPress",
    "mouthSmile",
    "mouthStretch",
    "mouthUpperUp",
    "noseSneer",
]
_MIDDLE = [
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthFunnel",
    "mouthLeft",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
]
#: One shape in the 52, two in ICT-FaceKit.
_HALVED = ("browInnerUp", "cheekPuff")
LIDS_DOWN_DEG, EYE_SIDE_DEG = 30.0, 35.0  # of the eyeball, at which eyeLook* is 1

#: What a face may show: shape → lowest and highest weight, and how often. A leading 1 = on one side only.
_MOODS: dict[str, dict[str, tuple[float, float, float]]] = {
    "neutral": {},
    "happiness": {
        "mouthSmile": (0.4, 1.1, 1.0),
        "cheekSquint": (0.2, 0.9, 0.8),
        "eyeSquint": (0.0, 0.6, 0.5),
        "mouthUpperUp": (0.1, 0.5, 0.5),
        "jawOpen": (0.05, 0.45, 0.4),
        "mouthDimple": (0.0, 0.5, 0.4),
        "cheekRaiser": (0.2, 0.8, 0.5),
    },
    "surprise": {
        "browInnerUp": (0.5, 1.2, 1.0),
        "browOuterUp": (0.5, 1.2, 1.0),
        "eyeWide": (0.4, 1.1, 0.9),
        "jawOpen": (0.15, 0.9, 0.8),
        "mouthFunnel": (0.0, 0.4, 0.3),
    },
    "sadness": {
        "browInnerUp": (0.5, 1.2, 1.0),
        "browDown": (0.1, 0.5, 0.5),
        "mouthFrown": (0.4, 1.1, 0.9),
        "mouthShrugLower": (0.2, 0.8, 0.6),
        "eyeSquint": (0.1, 0.6, 0.5),
        "eyeBlink": (0.1, 0.35, 0.4),
    },
    "anger": {
        "browDown": (0.6, 1.2, 1.0),
        "eyeSquint": (0.1, 0.6, 0.5),
        "noseSneer": (0.2, 0.7, 0.5),
        "mouthPress": (0.4, 1.0, 0.5),
        "mouthUpperUp": (0.2, 0.8, 0.35),
        "mouthLowerDown": (0.2, 0.9, 0.35),
        "mouthFrown": (0.1, 0.6, 0.5),
    },
    "disgust": {
        "noseSneer": (0.6, 1.2, 1.0),
        "mouthUpperUp": (0.3, 0.9, 0.9),
        "browDown": (0.3, 0.9, 0.8),
        "eyeSquint": (0.3, 0.9, 0.7),
        "cheekSquint": (0.3, 0.8, 0.6),
        "mouthFrown": (0.1, 0.6, 0.4),
    },
    "fear": {
        "browInnerUp": (0.6, 1.2, 1.0),
        "browOuterUp": (0.3, 0.8, 0.6),
        "eyeWide": (0.6, 1.2, 1.0),
        "mouthStretch": (0.4, 1.0, 0.9),
        "jawOpen": (0.1, 0.5, 0.6),
        "mouthLowerDown": (0.1, 0.7, 0.5),
    },
    "contempt": {"1mouthSmile": (0.4, 0.9, 1.0), "1mouthDimple": (0.3, 1.0, 0.8), "mouthPress": (0.1, 0.5, 0.4)},
    "talking": {
        "jawOpen": (0.05, 0.6, 0.9),
        "mouthFunnel": (0.1, 0.9, 0.4),
        "mouthPucker": (0.2, 1.0, 0.4),
        "mouthRollLower": (0.1, 0.8, 0.2),
        "mouthClose": (0.05, 0.3, 0.2),
    },
}
_ANY = 0.07  # how often any one shape comes in besides


def sample(rng: np.random.Generator) -> dict[str, float]:
    """ICT weights (names without ``ict/``) of a random face: a mood, single shapes besides, a blink now and then."""
    mood = list(_MOODS)[rng.integers(len(_MOODS))]
    strength = rng.uniform(0.5, 1.1)
    out: dict[str, float] = {}
    side = "LR"[rng.integers(2)]
    for name, (low, high, often) in _MOODS[mood].items():
        if rng.random() < often:
            _add(out, rng, name, rng.uniform(low, high) * strength, side)
    for name in (*_MIDDLE, *_HALVED, *_TWO_SIDED):
        if rng.random() < _ANY and not name.startswith("eyeLook"):
            one = "1" if name in _TWO_SIDED and rng.random() < 0.4 else ""
            _add(out, rng, one + name, abs(rng.normal()) * 0.4, side)
    wide = out.get("eyeWide_L", 0.0) > 0.3
    blink = 0.0 if wide else rng.uniform(0.5, 1.0) if rng.random() < 0.1 else max(0.0, rng.normal() * 0.1)
    wink = rng.random() < 0.02
    for one_side in "LR":
        if not wink or one_side == side:
            out[f"eyeBlink_{one_side}"] = out.get(f"eyeBlink_{one_side}", 0.0) + (0.95 if wink else blink)
    for left, right in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
        if out.get(left, 0.0) > 0 and out.get(right, 0.0) > 0:
            del out[right]
    if out.get("mouthClose", 0.0) > out.get("jawOpen", 0.0):
        out["mouthClose"] = out.get("jawOpen", 0.0)  # lips closed over an open jaw; more would push them through
    return {name: float(np.clip(value, 0.0, 1.2)) for name, value in out.items() if value > 0.01}


def _add(out: dict[str, float], rng: np.random.Generator, name: str, value: float, side: str) -> None:
    if name in _MIDDLE:
        out[name] = out.get(name, 0.0) + value
        return
    stem = name.lstrip("1")
    for one_side in side if name.startswith("1") else "LR":
        key = f"{stem}_{one_side}"
        out[key] = out.get(key, 0.0) + value * (1.0 + 0.1 * rng.normal())


def looking(eyes_deg: Array) -> dict[str, float]:
    """eyeLook* weights of eyes turned in the head: (2, 2) yaw, pitch of the subject's left and right eye.

    Yaw + is to the subject's left (the image's right), pitch + up; lids follow.
    """
    out: dict[str, float] = {}
    for side, (yaw, pitch), outward in zip("LR", eyes_deg.tolist(), (1.0, -1.0), strict=True):
        out[f"eyeLookOut_{side}"] = max(0.0, yaw * outward) / EYE_SIDE_DEG
        out[f"eyeLookIn_{side}"] = max(0.0, -yaw * outward) / EYE_SIDE_DEG
        out[f"eyeLookUp_{side}"] = max(0.0, pitch) / LIDS_DOWN_DEG
        out[f"eyeLookDown_{side}"] = max(0.0, -pitch) / LIDS_DOWN_DEG
    return {name: min(1.0, value) for name, value in out.items() if value > 0.0}


def blendshapes52(weights: dict[str, float]) -> Array:
    """(52,) float32 in `MEDIAPIPE_BLENDSHAPES`' order, 0..1, of ICT weights; the halves of a shape are averaged."""
    out = np.zeros(len(MEDIAPIPE_BLENDSHAPES), np.float32)
    for at, name in enumerate(MEDIAPIPE_BLENDSHAPES):
        if name in _HALVED:
            out[at] = (weights.get(f"{name}_L", 0.0) + weights.get(f"{name}_R", 0.0)) / 2
        elif name in _MIDDLE:
            out[at] = weights.get(name, 0.0)
        elif name != "_neutral":
            stem, side = (name[:-4], "L") if name.endswith("Left") else (name[:-5], "R")
            out[at] = weights.get(f"{stem}_{side}", 0.0)
    return np.clip(out, 0.0, 1.0)
