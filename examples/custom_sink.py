"""Results into something of your own, here SQLite: python examples/custom_sink.py SOURCE faces.db

An output of your own needs `open` and `write`. It has a thread of its own: a slow one loses its own frames only.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

import rtface

COLUMNS = ("time_s", "track_id", "emotion", "yaw_deg")


class SqliteSink(rtface.Sink):
    """A row a face."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = path
        self._database: sqlite3.Connection | None = None

    def open(self, info: rtface.RunInfo) -> None:
        try:
            # `open` and `finish` run in the thread that analyses, `write` in the output's own; never two at a time.
            self._database = sqlite3.connect(self._path, check_same_thread=False)
            self._database.execute(f"CREATE TABLE IF NOT EXISTS faces ({', '.join(COLUMNS)})")
        except sqlite3.Error as error:  # what rtface shows in one line
            raise rtface.OutputError(self.name, f"cannot be written ({error})", "Name another path") from error

    def write(self, result: rtface.FrameResult) -> None:
        assert self._database is not None
        rows = [[row[name] for name in COLUMNS] for row in result.to_rows()]
        self._database.executemany("INSERT INTO faces VALUES (?, ?, ?, ?)", rows)

    def finish(self, summary: dict[str, Any]) -> None:  # also after Ctrl-C: what was seen stays
        assert self._database is not None
        self._database.commit()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(rtface.run(sys.argv[1], outputs=[SqliteSink(sys.argv[2])], tasks=["emotion", "pose"]))
