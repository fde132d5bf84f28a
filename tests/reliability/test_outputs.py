"""Outputs of runs that are killed, told to end, or cut at any byte: a few here, many in benchmarks/reliability.py."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.capture.open import open_source
from rtface.errors import SourceError
from rtface.outputs.mp4 import Mp4Writer
from rtface.system.files import PartFile, stale_parts
from tests.media import sliding
from tests.reliability.kills import end_a_run, readable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_run_loses_two_seconds_and_the_last_line_at_most(tmp_path: Path, seed: int) -> None:
    ended = end_a_run(tmp_path, signal.SIGKILL, random.Random(seed))
    assert ended.code == -signal.SIGKILL and not ended.whole
    assert ended.broken_lines == 0 and ended.told > 2.0
    assert ended.shown_frames > 0 and ended.lost_s <= 2.0
    assert stale_parts(tmp_path / "out.mp4") == [ended.video]


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_run_that_is_told_to_end_leaves_everything(tmp_path: Path, name: str, code: int) -> None:
    ended = end_a_run(tmp_path, signal.Signals[name], random.Random(code))
    assert (ended.code, ended.broken_lines, ended.whole) == (code, 0, True)
    assert ended.said.count("\n") == 1 and "what was written is whole" in ended.said
    assert ended.shown_frames == ended.told_frames > 50
    assert ended.lost_s == pytest.approx(0.0, abs=0.001)


def test_a_recording_cut_at_any_byte_plays_up_to_there(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.mp4", overwrite=False)
    writer = Mp4Writer(part, (160, 120), 25.0, None)
    ends = []  # bytes that are on the disk, and frames in them
    for index, image in enumerate(sliding(110)):
        before = part.whole
        writer.write(image, index / 25)
        if part.whole > before:
            ends.append((part.whole, index))
    data = part.path.read_bytes()
    copy = tmp_path / "copy.mp4"
    rng = np.random.default_rng(7)
    in_head = [ends[1][0] + within for within in (3, 42, 110, 150, 211)]  # FFmpeg itself opens only the first of these
    for size in [*rng.integers(1, len(data), 12), len(data), ends[0][0], *in_head]:
        copy.write_bytes(data[:size])
        held = max((frames for end, frames in ends if end <= size), default=0)
        times = readable(copy)
        assert len(times) >= held, f"cut at {size}"
        assert times == pytest.approx([index / 25 for index in range(len(times))], abs=0.001)
        inside = all(size != end for end, _ in ends)
        if inside and times:
            with pytest.raises(SourceError, match="is cut short"), open_source(copy) as source:
                while source.read() is not None:
                    pass
    writer.close()
    part.publish()
    assert len(readable(tmp_path / "a.mp4")) == 110
