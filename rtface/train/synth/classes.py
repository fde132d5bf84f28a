"""The class map as people draw it: whole eyes under their lashes, brows without gaps, a nose without a mesh's teeth."""

from __future__ import annotations

import cv2
import numpy as np

from rtface.datasets.labelled import Array

SKIN, NOSE, GLASSES, EYES, BROWS, MOUTH = 1, 2, 3, (4, 5), (6, 7), 10
#: Of the renderer alone: lashes are eye before an eye and skin elsewhere.
LASH = 20


def cleaned(labels: Array) -> Array:
    """(S, S) the 19 classes of a rendered map."""
    out = labels.copy()
    reach = max(3, len(labels) // 40 | 1)
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    fine = max(2, len(labels) // 64)  # people draw brows around their hairs
    lash = labels == LASH
    out[lash] = SKIN
    for eye in EYES:
        seen = (labels == eye).astype(np.uint8)
        out[(cv2.morphologyEx(seen, cv2.MORPH_CLOSE, kernel) > 0) & lash] = eye
    bare = np.isin(out, (SKIN, NOSE))
    for brow in BROWS:
        hairs = cv2.dilate((labels == brow).astype(np.uint8), np.ones((fine, fine), np.uint8))
        out[(cv2.morphologyEx(hairs, cv2.MORPH_CLOSE, kernel) > 0) & bare] = brow
    inside = np.isin(out, (SKIN, NOSE))
    sigma = len(labels) / 90
    nose, whole = (
        np.asarray(cv2.GaussianBlur(where.astype(np.float32), (0, 0), sigma)) for where in (out == NOSE, inside)
    )
    out[inside] = np.where(nose[inside] > 0.5 * whole[inside], NOSE, SKIN)
    return out
