"""One contestant of `peers.py`, in a process of its own: analyses the frames it is told to and says how long each took.

Runs under another interpreter than rtface's where the peer needs one, so it imports nothing but numpy and the
contestant. Talks JSON lines: the configuration comes as the one argument; then each line on stdin, ``[start, count]``,
is answered by the times of that block and the CPU time of all threads; the end of stdin by the memory used.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Faces that a contestant found, from a BGR frame and its time in seconds. Only this call is timed.
Contestant = Callable[[Any, float], int]


def facemesh(config: dict[str, Any]) -> tuple[Contestant, Callable[[Any], Any]]:
    """MediaPipe's FaceMesh in video mode, and what makes its RGB input of a BGR frame (not timed)."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(max_num_faces=config["faces"], refine_landmarks=config["refine"])

    def process(image: Any, at: float) -> int:
        return len(mesh.process(image).multi_face_landmarks or ())

    return process, lambda frame: np.ascontiguousarray(frame[..., ::-1])


def landmarker(config: dict[str, Any]) -> tuple[Contestant, Callable[[Any], Any]]:
    """MediaPipe's FaceLandmarker in video mode, with its blend shapes, and what makes its RGB input (not timed)."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions, RunningMode

    found = FaceLandmarker.create_from_options(
        FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=config["model"]),
            running_mode=RunningMode.VIDEO,
            num_faces=config["faces"],
            output_face_blendshapes=True,
        )
    )

    def process(image: Any, at: float) -> int:
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
        return len(found.detect_for_video(picture, round(at * 1e3)).face_landmarks)

    return process, lambda frame: np.ascontiguousarray(frame[..., ::-1])


def rtface(config: dict[str, Any]) -> tuple[Contestant, Callable[[Any], Any]]:
    """rtface's full job on a stream."""
    from rtface.analyzer import Analyzer
    from rtface.options import Options

    analyzer = Analyzer(Options.load(max_faces=config["faces"], **config["options"]))

    def process(image: Any, at: float) -> int:
        return sum(not face.predicted for face in analyzer.video(image, at).faces)

    return process, lambda frame: frame


def resident_mb() -> dict[str, float | None]:
    """Memory in MB now, and the most ever; None where the system does not say."""
    try:
        with Path("/proc/self/status").open() as status:
            entries = dict(line.split(":", 1) for line in status)
    except OSError:
        return {"rss_mb": None, "peak_rss_mb": None}
    return {
        "rss_mb": int(entries["VmRSS"].split()[0]) / 1024,
        "peak_rss_mb": int(entries["VmHWM"].split()[0]) / 1024,
    }


def main() -> None:
    config = json.loads(sys.argv[1])
    # What libraries print goes to stderr; the conversation has stdout for itself.
    talk = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    process, prepare = {"facemesh": facemesh, "landmarker": landmarker, "rtface": rtface}[config["kind"]](config)
    height, width = config["height"], config["width"]
    # Read, not mapped: mapped pages would count as the contestant's memory.
    frame = np.empty((height, width, 3), np.uint8)
    index = 0
    with Path(config["frames"]).open("rb", buffering=0) as frames:
        print(json.dumps({"ready": True}), file=talk)
        for line in sys.stdin:
            start, count = json.loads(line)
            times, faces = [], []
            own, cpu = 0.0, time.process_time()  # of all threads, also of those that go on spinning between two calls
            for at in range(start, start + count):
                reading = time.thread_time()
                frames.seek(at % config["count"] * frame.nbytes)
                frames.readinto(frame.data)
                image = prepare(frame)
                own += time.thread_time() - reading
                began = time.perf_counter()
                found = process(image, index / config["fps"])
                times.append((time.perf_counter() - began) * 1e3)
                faces.append(found)
                index += 1
            spent = (time.process_time() - cpu - own) * 1e3
            print(json.dumps({"ms": times, "faces": faces, "cpu_ms": spent}), file=talk)
    print(json.dumps(resident_mb()), file=talk)


if __name__ == "__main__":
    main()
