"""Messages that wait on disk for a receiver: bounded, and still there after a restart."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from rtface.errors import OutputError
from rtface.system.files import cache_dir

#: Runs that send to one address at the same time, each with a spool of its own.
MOST_RUNS = 32


class Message(NamedTuple):
    """A message, and its number in the spool."""

    number: int
    headers: str
    body: bytes


class Spool:
    """A first-in-first-out file. Full, it gives up the oldest message for a new one, and counts it.

    Each run holds a file of its own; one that a run before left is taken over, with what is still in it.

    Args:
        folder: Where, a private folder that is made where it is not there.
        name: Of the receiver; a digest of it is in the file's name.
        shown: The same without secrets; its letters, digits, - and . are in the file's name, too.
        most_bytes: Bytes of messages that wait at most.

    Raises:
        OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, name: str, most_bytes: int, *, shown: str = "receiver") -> None:
        self.dropped = 0
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        stem = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', shown)[:40].strip('-.')}-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = _first_free(folder, stem)
            self._bytes = self._database.execute("select coalesce(sum(length(body)), 0) from messages").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            why = f"cannot keep messages ({getattr(error, 'strerror', None) or error})"
            raise OutputError(str(folder), why, "Make room, or name another folder with spool=") from error

    def put(self, headers: str, body: bytes) -> None:
        """Add a message; older ones make room for it."""
        with self._lock, self._database:
            self._bytes += len(body)
            self._database.execute("insert into messages (headers, body) values (?, ?)", (headers, body))
            while self._bytes > self._most_bytes and self._drop_oldest():
                self.dropped += 1

    def _drop_oldest(self) -> bool:
        row = self._database.execute("select number, length(body) from messages order by number limit 1").fetchone()
        if row is None:
            return False
        self._database.execute("delete from messages where number = ?", (row[0],))
        self._bytes -= row[1]
        return True

    def oldest(self) -> Message | None:
        """The message that waits for longest; it stays."""
        with self._lock:
            row = self._database.execute(
                "select number, headers, body from messages order by number limit 1"
            ).fetchone()
        return None if row is None else Message(*row)

    def remove(self, message: Message) -> None:
        """It was delivered, or never will be; it may have made room already."""
        with self._lock, self._database:
            found = self._database.execute("delete from messages where number = ?", (message.number,))
            self._bytes -= len(message.body) * found.rowcount

    def __len__(self) -> int:
        with self._lock:
            count: int = self._database.execute("select count(*) from messages").fetchone()[0]
            return count

    def close(self) -> None:
        """Let another run have it."""
        with self._lock:
            self._database.close()


def spool_folder() -> Path:
    """Where spools are unless an address says otherwise."""
    return cache_dir() / "spool"


def _first_free(folder: Path, stem: str) -> sqlite3.Connection:
    for number in range(MOST_RUNS):
        path = folder / (f"{stem}.db" if not number else f"{stem}-{number}.db")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
        database = sqlite3.connect(path, timeout=0.0, check_same_thread=False)
        try:
            database.execute("pragma locking_mode = exclusive")  # until it is closed, or its process is gone
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = normal")
            database.execute("begin immediate")
            table = "messages (number integer primary key autoincrement, headers text not null, body blob not null)"
            database.execute(f"create table if not exists {table}")
            database.commit()
            return database
        except sqlite3.OperationalError as error:
            database.close()
            if "locked" not in str(error):
                raise
    raise sqlite3.OperationalError(f"{MOST_RUNS} runs send to this address already")
