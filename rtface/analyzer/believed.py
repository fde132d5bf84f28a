"""Which of a detector's finds in a still are faces, now that the engine has looked at them too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.detect import Detections

QUALITY_POWER = 0.35
"""How much the engine's opinion counts beside the detector's. At 10 to 14 false faces on 760 enlarged pieces of
garments (`benchmarks/false_faces.py --data`), powers of .2, .3, .35 and .4 gave an AP of 68.0, 68.0, 68.1 and 68.0 on
WIDER val's faces of 16 px and more, 81.4, 81.6, 81.9 and 81.5 on those of 24."""

CUT_OUT_TRUST = 1.25
"""So many times `Options.still_min_confidence` is asked of a picture that is small as a whole: the detector sees it
enlarged, where texture looks like a face."""

PART_SCORE, PART_QUALITY = 0.45, 0.4
"""What scores less, and is trusted less, may be a part of somebody whose face is there: an ear, a tie, a pattern."""

PART_SIDE = 0.5
PART_BESIDE, PART_ABOVE, PART_BELOW = 0.5, 0.5, 0.6
"""So large a part of the face at most, and so near, in the face's widths and heights. On WIDER val this takes away none
of 638 right faces; on 420 portraits (LFW, UTKFace, Helen, LFPW, CelebA) an ear, a tie and two painted eyes."""


def trusted_rows(found: Detections, quality: NDArray[np.float32], bar: float) -> list[int]:
    """Rows of `found`, best score first, that are trusted and no part of a head.

    Args:
        found: Faces of one picture.
        quality: (N,) the engine's, 0..1.
        bar: What score and quality together have to reach.
    """
    trusts = found.scores * quality**QUALITY_POWER
    rows: list[int] = []
    for row, trust in enumerate(trusts):
        doubtful = found.scores[row] < PART_SCORE and quality[row] < PART_QUALITY
        # NaN, which an engine in trouble answers, reaches no bar.
        if trust >= bar and not (doubtful and _is_a_part(found.boxes_xyxy[row], found.boxes_xyxy[rows])):
            rows.append(row)
    return rows


def _is_a_part(box: NDArray[np.float32], faces: NDArray[np.float32]) -> bool:
    """Whether a box (4,) is small beside one of `faces` (N, 4), and on its head or just below."""
    x, y = (box[:2] + box[2:]) / 2
    sides = faces[:, 2:] - faces[:, :2]
    across, down = sides[:, 0], sides[:, 1]
    small = (box[2:] - box[:2]).max() <= PART_SIDE * sides.max(axis=1, initial=0.0)
    beside = (x >= faces[:, 0] - PART_BESIDE * across) & (x <= faces[:, 2] + PART_BESIDE * across)
    near = (y >= faces[:, 1] - PART_ABOVE * down) & (y <= faces[:, 3] + PART_BELOW * down)
    return bool((small & beside & near).any())
