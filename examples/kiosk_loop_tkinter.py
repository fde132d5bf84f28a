"""A kiosk in tkinter: rtface in a thread of its own, the window shows the newest result.

python examples/kiosk_loop_tkinter.py [SOURCE]
"""

from __future__ import annotations

import sys
import threading
import tkinter

import cv2

import rtface

SHOW_EVERY_MS = 33


class Kiosk:
    def __init__(self, source: int | str) -> None:
        self.root = tkinter.Tk()
        self.root.title("rtface")
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.view = tkinter.Label(self.root)
        self.view.pack()
        self.words = tkinter.Label(self.root, font=("sans-serif", 18))
        self.words.pack()
        self.newest: rtface.FrameResult | None = None
        self.stream = rtface.live(source, budget_ms=33, tasks=["landmarks", "emotion"])
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        with self.stream:
            for result in self.stream:
                self.newest = result  # one reference: nothing to lock

    def show(self) -> None:
        result, self.newest = self.newest, None
        if result is not None:
            picture = rtface.draw(result.frame.image, result)
            self.photo = tkinter.PhotoImage(data=cv2.imencode(".ppm", picture)[1].tobytes())  # kept, or it vanishes
            self.view.configure(image=self.photo)
            happy = sum(face.emotion is not None and face.emotion.label == "happiness" for face in result)
            self.words.configure(text=f"{len(result)} here, {happy} happy")
        if self.thread.is_alive():
            self.root.after(SHOW_EVERY_MS, self.show)
        else:
            self.root.destroy()  # the source has ended

    def close(self) -> None:
        self.stream.stop()  # `show` sees the thread end, and closes the window

    def run(self) -> None:
        self.thread.start()
        self.show()
        self.root.mainloop()


if __name__ == "__main__":
    Kiosk(sys.argv[1] if len(sys.argv) > 1 else 0).run()
