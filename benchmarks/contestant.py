"""A process that works when it is told to, and the times it gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.worker import ROOT, Worker

WORKER = ROOT / "benchmarks" / "peers_worker.py"


class Contestant(Worker):
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
        super().__init__(name, [str(python), str(WORKER), json.dumps(config)])
        self.ms: list[list[float]] = []
        self.faces: list[list[int]] = []
        self.cpu_ms: list[float] = []
        self.memory: dict[str, float | None] = {}

    def _ready(self) -> None:
        self._answer()

    def block(self, start: int, count: int) -> None:
        """Let it work on a block of frames; the clip goes round."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([start, count]).encode() + b"\n")
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
            self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer
