"""What the numbers mean: tasks, emotions and parsing classes, in their fixed orders. Needs no numpy."""

from __future__ import annotations

#: What the engine can work out for a face, in the order of records.
TASKS: tuple[str, ...] = ("landmarks", "parsing", "emotion", "pose")

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
