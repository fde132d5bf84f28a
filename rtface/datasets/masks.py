"""What the readers of face masks share: the subject's sides, and the face that a mask shows."""

from __future__ import annotations

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel

UNKNOWN = 255
#: Left and right of the subject: eyes, brows, ears.
PAIRS = ((4, 5), (6, 7), (8, 9))
_EYES, _BROWS, _NOSE, _MOUTH = (4, 5), (6, 7), (2,), (10, 11, 12)
_FACE = (1, 2, 3, 4, 5, 6, 7, 10, 11, 12)
_TIP = 0.7  # of the nose's length from its root


def set_sides(labels: Array) -> Array:
    """A 19-class mask (H, W) whose left and right parts are the subject's, told from the face's own axis.

    Sets name sides differently, and single masks of a set are swapped. Of two parts, the one further towards the
    image's right as the face stands is the subject's left; a lone part is told by the side of the nose it lies on.
    """
    right, middle = _axis(labels)
    out: Array = labels.copy()
    for pair in PAIRS:
        seen = [name for name in pair if (labels == name).any()]
        if not seen:
            continue
        along = [float((_centre(labels, (name,)) - middle) @ right) for name in seen]
        lone = seen[0] if along[0] > 0 else None
        left = seen[int(np.argmax(along))] if len(seen) == 2 else lone
        for name in seen:
            out[labels == name] = pair[0] if name == left else pair[1]
    return out


def face_of_mask(labels: Array) -> FaceLabel | None:
    """Box and five points (both of source "mask") of the face in a 19-class mask; None where there is no skin.

    The box runs around the face's classes without ears and hair. Points need both eyes and a mouth: eyes' centres,
    the nose's tip, the mouth's outermost pixels; good enough to cut a crop by, not to learn points from.
    """
    rows, columns = np.nonzero(np.isin(labels, _FACE))
    if not len(rows):
        return None
    box = np.array((columns.min(), rows.min(), columns.max(), rows.max()), np.float32)
    return FaceLabel(box_xyxy=box, box_source="mask", points5=_points5(labels), points5_source="mask")


def _points5(labels: Array) -> Array | None:
    if not all((labels == eye).any() for eye in _EYES) or not np.isin(labels, _MOUTH).any():
        return None
    right, middle = _axis(labels)
    down = np.array((-right[1], right[0]))
    mouth = _pixels(labels, _MOUTH)
    across = mouth @ right
    nose = _pixels(labels, _NOSE)
    if len(nose):
        along = nose @ down
        middle = nose[np.abs(along - np.quantile(along, _TIP)) < 1.0].mean(0)
    corners = (mouth[across.argmin()], mouth[across.argmax()])
    return np.array((_centre(labels, (5,)), _centre(labels, (4,)), middle, *corners), np.float32)


def _axis(labels: Array) -> tuple[Array, Array]:
    """Unit vector that points to the image's right as the face stands upright, and a point on the face's middle."""
    upper, lower = _first(labels, _EYES, _BROWS), _first(labels, _MOUTH, _NOSE)
    up = np.array((0.0, -1.0)) if upper is None or lower is None else upper - lower
    length = float(np.hypot(*up))
    up = up / length if length > 0 else np.array((0.0, -1.0))
    middle = _first(labels, _NOSE, _MOUTH, _FACE)
    return np.array((-up[1], up[0])), np.zeros(2) if middle is None else middle


def _first(labels: Array, *groups: tuple[int, ...]) -> Array | None:
    """Centre of the first of these groups that is in the mask."""
    return next((_centre(labels, group) for group in groups if np.isin(labels, group).any()), None)


def _centre(labels: Array, names: tuple[int, ...]) -> Array:
    centre: Array = _pixels(labels, names).mean(0)
    return centre


def _pixels(labels: Array, names: tuple[int, ...]) -> Array:
    """(N, 2) x y of a group's pixels."""
    return np.argwhere(np.isin(labels, names))[:, ::-1].astype(np.float64)
