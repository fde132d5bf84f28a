"""A camera in a window, within 33 ms a frame: python examples/webcam.py [SOURCE] [--no-window] [--frames N]

Esc ends it. SOURCE is a camera's index, an address or a video; by default camera 0.
"""

from __future__ import annotations

import argparse
import sys

import cv2

import rtface


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="0")
    parser.add_argument("--no-window", action="store_true")
    parser.add_argument("--frames", type=int, default=None)
    given = parser.parse_args()

    def say(event: rtface.Event) -> None:
        print(event.kind, event.what)  # the camera is lost, and is back

    with rtface.live(given.source, budget_ms=33, max_frames=given.frames, on_event=say) as stream:
        for result in stream:  # always the newest frame
            people = ", ".join(f"#{face.track_id} {face.emotion.label}" for face in result if face.emotion)
            print(f"{result.timing.age_ms:5.1f} ms after the grab: {people or 'nobody'}")
            if not given.no_window:
                cv2.imshow("rtface", rtface.draw(result.frame.image, result))
                if cv2.waitKey(1) == 27:
                    stream.stop()
    print(f"{stream.summary['frames']} frames, {stream.summary['late']} late")


if __name__ == "__main__":
    try:
        main()
    except rtface.RtfaceError as error:  # no camera, say
        sys.exit(str(error))
