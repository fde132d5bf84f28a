"""The long reliability runs, with few of each."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from benchmarks import reliability


def test_damage_is_the_same_for_a_seed_and_leaves_something() -> None:
    data = bytes(range(256)) * 40
    for seed in range(200):
        out = reliability.damaged(data, random.Random(seed))
        assert out == reliability.damaged(data, random.Random(seed))
        assert out
    assert len({reliability.damaged(data, random.Random(seed)) for seed in range(200)}) > 150


def test_cuts_of_a_recording_play(tmp_path: Path) -> None:
    assert reliability.cuts(4, random.Random(0), tmp_path) == {"cuts": 4, "lacking_frames": 0, "ok": True}


@pytest.mark.skipif(sys.platform == "win32", reason="measures a process as POSIX does")
def test_damaged_videos_are_read_or_refused_by_a_worker(tmp_path: Path) -> None:
    figures = reliability.videos(6, random.Random(0), tmp_path)
    assert figures["read"] + figures["refused"] == 6
    assert not any(figures[end] for end in ("crash", "traceback", "hang")) and 20.0 < figures["peak_mb"] < 500.0


@pytest.mark.skipif(sys.platform == "win32", reason="measures a process as POSIX does")
def test_a_worker_that_dies_is_a_crash_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "worker.py"
    killed.write_text(
        "import json, os, signal, sys\n"
        "for line in sys.stdin:\n"
        "    if int(line) == 2: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    print(json.dumps({'end': 'read', 'seed': int(line)}), flush=True)\n"
    )
    monkeypatch.setattr(reliability, "__file__", str(killed))
    ends = [record["end"] for record in reliability._work([], [1, 2, 3], tmp_path)]
    assert ends == ["read", "crash", "read"]
