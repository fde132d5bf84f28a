"""MediaPipe in a process of its own, for `mesh.py`: crops in, meshes out, and blend shapes where its model is given.

Runs under another interpreter than rtface's, so it imports nothing but numpy and MediaPipe. Arguments: the side of the
crops in px, and a FaceLandmarker model (face_landmarker.task) or nothing, which is FaceMesh. Writes `READY` once it is;
then for each crop on stdin, (side, side, 3) uint8 BGR, the 478 points as float32 x y, crop px with pixel centres at
integers, and 52 blend shapes; NaN where it finds no face or does not know. Ends with stdin.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

READY = b"ready\n"
POINTS, SHAPES = 478, 52

Seen = tuple[Any, Any]
"""Points with x and y in shares of the crop, or None; blend shapes with scores, or None."""


def main() -> None:
    side = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this, and who ends it
    # What libraries print goes to stderr; the conversation has stdout for itself.
    talk = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    look = face_mesh() if len(sys.argv) < 3 else face_landmarker(sys.argv[2])
    talk.write(READY)
    talk.flush()
    while len(data := sys.stdin.buffer.read(side * side * 3)) == side * side * 3:
        image = np.frombuffer(data, np.uint8).reshape(side, side, 3)
        found, shown = look(np.ascontiguousarray(image[..., ::-1]))
        points, shapes = np.full((POINTS, 2), np.nan, np.float32), np.full(SHAPES, np.nan, np.float32)
        if found:
            points[:] = [(point.x * side - 0.5, point.y * side - 0.5) for point in found]
        if shown:
            shapes[:] = [one.score for one in shown]
        talk.write(points.tobytes() + shapes.tobytes())
        talk.flush()


def face_mesh() -> Callable[[Any], Seen]:
    """FaceMesh, as its package ships it."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    # The crop is on a face that is known to be there: a low confidence, and no tracking from one crop to the next.
    mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.2)

    def look(image: Any) -> Seen:
        found = mesh.process(image).multi_face_landmarks
        return (found[0].landmark if found else None), None

    return look


def face_landmarker(model: str) -> Callable[[Any], Seen]:
    """FaceLandmarker with a model file."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

    landmarker = FaceLandmarker.create_from_options(
        FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=model),
            output_face_blendshapes=True,
            min_face_detection_confidence=0.2,
            min_face_presence_confidence=0.3,
        )
    )

    def look(image: Any) -> Seen:
        told = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        return (told.face_landmarks[0], told.face_blendshapes[0]) if told.face_landmarks else (None, None)

    return look


if __name__ == "__main__":
    main()
