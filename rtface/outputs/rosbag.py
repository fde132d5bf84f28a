"""A ROS 2 bag of faces as REP-155 has them, without ROS: ``ros2 bag play``, Foxglove and PlotJuggler read it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rtface.outputs.follow import frame_time
from rtface.outputs.hri import CAMERA_FRAME, DEFINITIONS, build, messages
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink, tell_parts_left
from rtface.system.files import TakenError, fresh_name, lock, not_written
from rtface.types import FrameResult


class RosbagSink(Sink):
    """A rosbag2 folder with MCAP storage.

    Args:
        path: The folder; written beside under another name and renamed when the run ends.
        overwrite: Whether a bag that is there may be replaced.
        frame_id: The camera's optical frame.
        pictures: Also each face's picture.
    """

    def __init__(self, path: Path, *, overwrite: bool, frame_id: str, pictures: bool = False) -> None:
        self.name = str(path)
        self.picture = "private" if pictures else "none"
        self._pictures = pictures
        self._path, self._overwrite, self._frame_id = path, overwrite, frame_id
        self._part = fresh_name(path)
        self._held: int | None = None
        self._stays = False
        self._writer: Any = None
        self._connections: dict[str, Any] = {}

    def open(self, info: RunInfo) -> None:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        self._live = info.live
        self._began = time.time()
        self._store: Any = get_typestore(Stores.ROS2_HUMBLE)
        types: dict[str, Any] = {}
        for name, text in DEFINITIONS.items():
            types |= get_types_from_msg(text, name)
        self._store.register(types)
        tell_parts_left(self._path, info)
        writer = Writer(self._part, version=9, storage_plugin=StoragePlugin.MCAP)
        try:
            writer.open()
            if sys.platform != "win32":  # a lock tells others that it is being written
                self._held = os.open(self._part, os.O_RDONLY)
                lock(self._held)
        except OSError as error:
            raise not_written(self.name, error) from error
        self._writer = writer

    def write(self, result: FrameResult) -> None:
        at = frame_time(result.frame, self._live)
        stamp_s = time.time() - time.monotonic() + at if self._live else self._began + at
        try:
            for topic, kind, fields in messages(result, stamp_s, self._frame_id, pictures=self._pictures):
                if topic not in self._connections:
                    self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
                data = self._store.serialize_cdr(build(kind, fields, self._made), kind)
                self._writer.write(self._connections[topic], int(stamp_s * 1e9), data)
        except OSError as error:
            raise not_written(self.name, error) from error

    def _made(self, kind: str, fields: dict[str, Any]) -> Any:
        """A message of rosbags' classes."""
        return self._store.types[kind](**fields)

    def finish(self, summary: dict[str, Any]) -> None:
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if os.path.lexists(self._path):
                # Only a bag is another one's to replace: a folder may hold anything.
                if not self._overwrite or (self._path.is_dir() and not (self._path / "metadata.yaml").is_file()):
                    self._stays = True
                    raise TakenError(self._path, self._part)
                shutil.rmtree(self._path) if self._path.is_dir() else self._path.unlink()
            self._part.rename(self._path)
        except OSError as error:
            raise not_written(self.name, error) from error

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._held is not None:
            os.close(self._held)
            self._held = None
        if not self._stays:
            shutil.rmtree(self._part, ignore_errors=True)


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    settings.only("frame_id", "pictures")
    frame_id = settings.settings.get("frame_id", CAMERA_FRAME)
    return RosbagSink(path, overwrite=overwrite, frame_id=frame_id, pictures=settings.switch("pictures"))
