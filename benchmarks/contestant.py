"""A process that works when it is told to, and the times it gave."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "benchmarks" / "peers_worker.py"


class Contestant:
    """A process that runs `peers_worker.py`, alive from entering to leaving the context.

    Args:
        name: What tables call it.
        python: The interpreter that has what it needs.
        config: What the worker is told; see there.

    Attributes:
        ms, faces: A list a block, of its frames' times and faces. The first block is warm-up.
        cpu_ms: A block's CPU time, all threads together, without reading the frames.
        memory: MB, known after `finish`.
    """

    def __init__(self, name: str, python: Path | str, config: dict[str, Any]) -> None:
        self.name = name
        self._command = [str(python), str(WORKER), json.dumps(config)]
        self.ms: list[list[float]] = []
        self.faces: list[list[int]] = []
        self.cpu_ms: list[float] = []
        self.memory: dict[str, float | None] = {}

    def __enter__(self) -> Contestant:
        """Start the process and wait until it is ready.

        Raises:
            SystemExit: It ended before; what it said is in the message.
        """
        # A file, not a pipe: MediaPipe's log would fill a pipe that nobody reads.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=self._log, text=True, env=environment()
        )
        try:
            self._answer()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def block(self, start: int, count: int) -> None:
        """Let it work on a block of frames; the clip goes round."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([start, count]) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.ms.append(answer["ms"])
        self.faces.append(answer["faces"])
        self.cpu_ms.append(answer["cpu_ms"])

    def finish(self) -> None:
        """Let it end; its last word is its memory."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        self.memory = self._answer()

    def times(self) -> NDArray[np.float64]:
        """(N,) ms of the frames that count."""
        return np.concatenate(self.ms[1:], dtype=np.float64)

    def record(self) -> dict[str, Any]:
        """Its figures, for the JSON line."""
        times = self.times()
        return {
            "median_ms": round(float(np.median(times)), 3),
            "p95_ms": round(float(np.percentile(times, 95)), 3),
            "cpu_ms_per_frame": round(sum(self.cpu_ms[1:]) / len(times), 3),
            "frames": len(times),
            "faces_per_frame": round(float(np.concatenate(self.faces[1:]).mean()), 3),
            **{name: None if mb is None else round(mb, 1) for name, mb in self.memory.items()},
        }

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise SystemExit(f"{self.name} ended:\n{self._log.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


def environment() -> dict[str, str]:
    """The environment of the processes: with this checkout's rtface, whether it is installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1"}
