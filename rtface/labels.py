"""What the numbers mean: tasks, emotions, parsing classes and blend shapes, in their fixed orders. Needs no numpy."""

from __future__ import annotations

#: What the engine works out for a face when nothing else is said, in the order of records.
TASKS: tuple[str, ...] = ("landmarks", "parsing", "emotion", "pose")

#: What it works out only where it is asked for by name, or by "all", with a network that has more to say.
MORE_TASKS: tuple[str, ...] = ("mesh", "expression", "gaze")

ALL_TASKS: tuple[str, ...] = (*TASKS, *MORE_TASKS)

#: FER+ order (Barsoum et al., ICMI 2016).
EMOTIONS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)

#: CelebAMask-HQ's classes (Lee et al., CVPR 2020); left and right are the subject's.
PARSING_CLASSES: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "glasses",
    "left_eye",
    "right_eye",
    "left_brow",
    "right_brow",
    "left_ear",
    "right_ear",
    "inner_mouth",
    "upper_lip",
    "lower_lip",
    "hair",
    "hat",
    "earring",
    "necklace",
    "neck",
    "cloth",
)

#: Why a face is of low quality: it covers few pixels, is out of focus or moves, looks aside, or something hides it.
QUALITY_REASONS: tuple[str, ...] = ("small", "blurred", "turned", "covered")

#: ARKit's order (Apple's ARFaceAnchor.BlendShapeLocation); left and right are the subject's.
BLENDSHAPES: tuple[str, ...] = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft"),
    *("eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"),
    *("eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel"),
    *("mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft"),
    *("browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft"),
    *("cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
