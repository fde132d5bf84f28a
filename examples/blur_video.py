"""A copy of a video with every face blurred: python examples/blur_video.py visit.mp4 blurred.mp4"""

from __future__ import annotations

import sys

import cv2

import rtface


def main(source: str, target: str) -> None:
    fps = cv2.VideoCapture(source).get(cv2.CAP_PROP_FPS) or 25.0
    writer = None
    options = rtface.Options(privacy="blur")  # also what may be a face; the detector looks at every frame
    with rtface.frames(source, tasks=(), options=options) as results:  # detection only
        for result in results:
            picture = rtface.blur(result.frame.image, result)
            if writer is None:
                height, width = picture.shape[:2]
                writer = cv2.VideoWriter(target, cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
            writer.write(picture)
    if writer is not None:
        writer.release()
    for line in results.unreadable:
        print("left out:", line, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except rtface.RtfaceError as error:  # no such video, say
        sys.exit(str(error))
