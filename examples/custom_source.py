"""Pictures from elsewhere, a camera's own library say, by a callback: python examples/custom_source.py visit.mp4

Here OpenCV plays the other library, as fast as it can: most pictures are dropped, the newest one is analysed. A
source of your own needs `read` and `close`.
"""

from __future__ import annotations

import queue
import sys
import threading

import cv2
import numpy as np
from numpy.typing import NDArray

import rtface


class Pushed(rtface.Source):
    """Give it pictures with `push`, from any thread; `push(None)` is the end."""

    name = "camera SDK"
    live = True  # a picture that is not taken is lost; the newest wins

    def __init__(self) -> None:
        self._pictures: queue.SimpleQueue[NDArray[np.uint8] | None] = queue.SimpleQueue()
        self._index = 0

    def push(self, picture: NDArray[np.uint8] | None) -> None:
        self._pictures.put(picture)

    def read(self) -> rtface.Frame | None:
        picture = self._pictures.get()  # waits
        if picture is None:
            return None
        self._index += 1
        return rtface.Frame(picture, self._index - 1)  # stamped when it is taken; captured_at=… if the SDK knows better

    def close(self) -> None:
        self.push(None)  # `read` may be waiting


def play(path: str, source: Pushed) -> None:
    video = cv2.VideoCapture(path)
    while (read := video.read())[0]:
        source.push(np.asarray(read[1], np.uint8))
    source.push(None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    camera = Pushed()
    threading.Thread(target=play, args=(sys.argv[1], camera), daemon=True).start()
    with rtface.live(camera, budget_ms=33) as stream:
        for result in stream:
            print(result.frame.index, len(result), result.dropped)
