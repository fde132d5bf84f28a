"""The database of visits: one SQLite file that survives a kill, is continued by the next run and forgets in time.

Of a person it holds times, counts and the strongest emotion; no picture, no shape, no track id, no way through the
picture: where people stood is summed up over a quarter of an hour.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from rtface.audience.visits import Visit
from rtface.audience.windows import Window, bounds, windows
from rtface.errors import OutputError, RtfaceError, SourceError

APPLICATION_ID = 0x72746661  # "rtfa", at byte 68 of the file
VERSION = 1
DAY_S = 86400.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (
    id INTEGER PRIMARY KEY, camera TEXT NOT NULL, started_at REAL NOT NULL, dwell_s REAL NOT NULL,
    attention_s REAL NOT NULL, looks INTEGER NOT NULL, smiles INTEGER NOT NULL, emotion TEXT, near INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS visits_by_time ON visits (started_at);
CREATE TABLE IF NOT EXISTS heat (
    camera TEXT NOT NULL, start REAL NOT NULL, cell INTEGER NOT NULL, seconds REAL NOT NULL, visits INTEGER NOT NULL,
    PRIMARY KEY (camera, start, cell)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows (
    camera TEXT NOT NULL, span TEXT NOT NULL, start REAL NOT NULL, since REAL NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (camera, span, start, since)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class VisitStore:
    """An open database of visits. Used by one thread at a time; other processes may read meanwhile (WAL).

    Args:
        path: The file.
        write: Begin it where it is not there, and write; else only read.

    Raises:
        OutputError: It cannot be written, or is another program's.
        SourceError: It cannot be read.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path, self._write = path, write
        if not write and not path.is_file():
            raise SourceError(str(path), "is not there", "rtface run SOURCE -o visits.db makes one")
        with self._said():
            # A reader is one too: WAL needs its index beside the file, which mode=ro cannot make.
            self._db = sqlite3.connect(path, timeout=10.0, check_same_thread=False, isolation_level=None)
        try:
            self._begin()
        except BaseException:
            self._db.close()
            raise

    def _begin(self) -> None:
        with self._said():
            empty = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            ours = self._pragma("application_id") == APPLICATION_ID
            version = self._pragma("user_version")
            if not ours and not (empty and self._write):
                raise self._error("is no database of visits", "Name another path")
            if version > VERSION:
                raise self._error("was written by a newer rtface", "pip install -U rtface")
            if not self._write:
                self._db.execute("PRAGMA query_only=1")
                return
            # In WAL mode a kill loses nothing that was committed; NORMAL lets a power cut lose the last moments only.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA secure_delete=1")  # what is forgotten is overwritten
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version={VERSION}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def add(self, visits: Iterable[Visit]) -> None:
        """Keep visits that are over.

        Raises:
            OutputError: The disk is full, or the like; what was kept before stays.
        """
        with self._transaction():
            for visit in visits:
                values = (visit.camera, visit.started_at, visit.dwell_s, visit.attention_s, visit.looks, visit.smiles)
                self._db.execute(
                    "INSERT INTO visits (camera, started_at, dwell_s, attention_s, looks, smiles, emotion, near)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, visit.emotion, visit.near),
                )
                start, _ = bounds(visit.started_at, "15min")
                self._db.executemany(
                    "INSERT INTO heat VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET"
                    " seconds = seconds + excluded.seconds, visits = visits + 1",
                    [(visit.camera, start, cell, seconds) for cell, seconds in visit.cells.items()],
                )

    def add_windows(self, records: Iterable[tuple[Window, dict[str, Any]]], since: float) -> None:
        """Keep windows as they may be published; `since` tells two runs within one window apart.

        Raises:
            OutputError: The disk is full, or the like; what was kept before stays.
        """
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?)",
                [
                    (one.camera, one.span, one.start, max(one.start, since), json.dumps(record, allow_nan=False))
                    for one, record in records
                ],
            )

    def note(self, **facts: object) -> None:
        """Remember facts of the run: its version, mode of privacy and definitions."""
        with self._transaction():
            rows = [(key, json.dumps(value)) for key, value in facts.items()]
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def facts(self) -> dict[str, Any]:
        """What `note` was told last."""
        with self._said():
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def forget(self, days: float, now: float | None = None) -> int:
        """Delete what began more than `days` ago; how many visits that were."""
        before = (time.time() if now is None else now) - days * DAY_S
        with self._transaction():
            gone = self._db.execute("DELETE FROM visits WHERE started_at < ?", (before,)).rowcount
            self._db.execute("DELETE FROM heat WHERE start < ?", (before - 900,))
            self._db.execute("DELETE FROM windows WHERE start < ?", (before - DAY_S,))
        return gone

    def visits(self, since: float = 0.0, until: float = 1e12, camera: str | None = None) -> Iterator[Visit]:
        """The visits that began in a span of time, in order; without their places."""
        where, values = _where("started_at", since, until, camera)
        columns = "camera, started_at, dwell_s, attention_s, looks, smiles, emotion, near"
        with self._said():
            for row in self._db.execute(f"SELECT {columns} FROM visits WHERE {where} ORDER BY started_at", values):
                camera_name, started_at, dwell_s, attention_s, looks, smiles, emotion, near = row
                yield Visit(
                    track_id=0,
                    camera=camera_name,
                    first_seen=started_at,
                    last_seen=started_at + dwell_s,
                    started_at=started_at,
                    dwell_s=dwell_s,
                    attention_s=attention_s,
                    looks=looks,
                    smiles=smiles,
                    emotion=emotion,
                    near=bool(near),
                )

    def windows(
        self,
        span: str,
        since: float = 0.0,
        until: float = 1e12,
        camera: str | None = None,
        zone: tzinfo | None = None,
    ) -> list[Window]:
        """Windows of the visits in a span of time, with their heat maps."""
        found = windows(self.visits(since, until, camera), span, zone)
        heat: defaultdict[tuple[str, float], dict[int, tuple[float, int]]] = defaultdict(dict)
        where, values = _where("start", since - 900, until, camera)
        with self._said():
            for name, start, cell, seconds, visits in self._db.execute(f"SELECT * FROM heat WHERE {where}", values):
                cells = heat[name, bounds(start, span, zone)[0]]
                before = cells.get(cell, (0.0, 0))
                cells[cell] = (before[0] + seconds, before[1] + visits)
        return [replace(window, heat=heat.get((window.camera, window.start), {})) for window in found]

    def published(self, span: str, since: float = 0.0, until: float = 1e12) -> list[dict[str, Any]]:
        """The records that `add_windows` kept."""
        query = "SELECT record FROM windows WHERE span = ? AND start >= ? AND start < ? ORDER BY start, camera, since"
        with self._said():
            return [json.loads(record) for (record,) in self._db.execute(query, (span, since, until))]

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def __enter__(self) -> VisitStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._said():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            mend = "Make room, or name another path" if self._write else "Name a file of rtface run -o visits.db"
            raise self._error(f"cannot be {'written' if self._write else 'read'} ({error})", mend) from error

    def _error(self, why: str, mend: str) -> RtfaceError:
        kind = OutputError if self._write else SourceError
        return kind(str(self.path), why, mend)


def _where(column: str, since: float, until: float, camera: str | None) -> tuple[str, list[object]]:
    values: list[object] = [since, until]
    if camera is None:
        return f"{column} >= ? AND {column} < ?", values
    return f"{column} >= ? AND {column} < ? AND camera = ?", [*values, camera]
