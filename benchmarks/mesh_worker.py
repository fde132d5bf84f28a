"""MediaPipe's FaceMesh in a process of its own, for `mesh.py`: crops in, meshes out.

Runs under another interpreter than rtface's, so it imports nothing but numpy and MediaPipe. The side of the crops in
px is the one argument. Writes `READY` once it is; then for each crop on stdin, (side, side, 3) uint8 BGR, the
478 points as float32 x y, crop px with pixel centres at integers; NaN where it finds no face. Ends with stdin.
"""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

READY = b"ready\n"
POINTS = 478


def main() -> None:
    side = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this, and who ends it
    # What libraries print goes to stderr; the conversation has stdout for itself.
    talk = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from mediapipe.python.solutions.face_mesh import FaceMesh

    # The crop is on a face that is known to be there: a low confidence, and no tracking from one crop to the next.
    mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.2)
    talk.write(READY)
    talk.flush()
    while len(data := sys.stdin.buffer.read(side * side * 3)) == side * side * 3:
        image = np.frombuffer(data, np.uint8).reshape(side, side, 3)
        found = mesh.process(np.ascontiguousarray(image[..., ::-1])).multi_face_landmarks
        points = np.full((POINTS, 2), np.nan, np.float32)
        if found:
            points[:] = [(point.x * side - 0.5, point.y * side - 0.5) for point in found[0].landmark]
        talk.write(points.tobytes())
        talk.flush()


if __name__ == "__main__":
    main()
