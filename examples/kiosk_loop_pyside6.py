"""A kiosk in Qt (pip install PySide6-Essentials): rtface in a QThread, results as signals.

python examples/kiosk_loop_pyside6.py [SOURCE]
"""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt, QThread, Signal
from PySide6.QtGui import QCloseEvent, QImage, QPixmap
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

import rtface


class Watcher(QThread):
    seen = Signal(object)  # a rtface.FrameResult

    def __init__(self, source: int | str) -> None:
        super().__init__()
        self.stream = rtface.live(source, budget_ms=33, tasks=["landmarks", "emotion"])

    def run(self) -> None:
        with self.stream:
            for result in self.stream:
                self.seen.emit(result)


class Kiosk(QMainWindow):
    def __init__(self, source: int | str) -> None:
        super().__init__()
        self.setWindowTitle("rtface")
        self.view = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.setCentralWidget(self.view)
        self.watcher = Watcher(source)
        self.watcher.seen.connect(self.show_result)
        self.watcher.finished.connect(self.close)
        self.watcher.start()

    def show_result(self, result: rtface.FrameResult) -> None:
        picture = rtface.draw(result.frame.image, result)
        height, width = picture.shape[:2]
        image = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_BGR888)
        self.view.setPixmap(QPixmap.fromImage(image))
        self.statusBar().showMessage(f"{len(result)} here, {result.timing.age_ms:.0f} ms after the grab")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802, Qt's name
        self.watcher.stream.stop()
        self.watcher.wait()
        super().closeEvent(event)


if __name__ == "__main__":
    application = QApplication(sys.argv)
    window = Kiosk(sys.argv[1] if len(sys.argv) > 1 else 0)
    window.show()
    sys.exit(application.exec())
