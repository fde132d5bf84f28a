"""The JSON lines. The golden line is what readers of ``rtface.result/1`` rely on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtface.outputs import records
from rtface.types import (
    Emotion,
    Event,
    Face,
    Frame,
    FrameResult,
    HeadPose,
    Landmarks,
    Parsing,
    Skip,
    SkipReason,
    Timing,
    decode_parsing,
)

LABELS = np.array([[0, 0, 1], [1, 1, 13]], np.uint8)


def face(**values: object) -> Face:
    return Face(
        box_xyxy=np.array([10.123, 20, 30.5, 40.999]),
        score=0.98765,
        points5=np.arange(10).reshape(5, 2) + 0.1,
        **values,  # type: ignore[arg-type]
    )


def result(*faces: Face, **values: object) -> FrameResult:
    frame = Frame(np.zeros((48, 64, 3), np.uint8), index=7, captured_at=12.3456789, media_time=0.28)
    return FrameResult(frame, faces, **values)  # type: ignore[arg-type]


GOLDEN = (
    '{"schema":"rtface.result/1","kind":"frame","index":7,"time":null,"captured_at_s":12.345679,"media_time_s":0.28,'
    '"width_px":64,"height_px":48,"faces":[{"track_id":3,"box_px":[10.12,20.0,30.5,41.0],"score":0.9877,'
    '"points5_px":[[0.1,1.1],[2.1,3.1],[4.1,5.1],[6.1,7.1],[8.1,9.1]],"quality":0.75,"quality_reasons":[],"predicted":false,'
    '"age_ms":{"emotion":0.0,"parsing":40.0},'
    '"parsing":{"width":3,"height":2,"to_frame_px":[[2.0,0.0,5.5],[0.0,2.0,6.5]],"labels":[0,1,13],"counts":[2,3,1]},'
    '"emotion":"happiness","emotion_probs":[0.1,0.9,0.0,0.0,0.0,0.0,0.0,0.0],'
    '"yaw_deg":-12.35,"pitch_deg":3.0,"roll_deg":0.5}],'
    '"timing_ms":{"capture":0.0,"detect":1.235,"track":0.0,"crop":0.0,"enhance":0.0,"engine":2.5,"tasks":0.0,"smooth":0.0,'
    '"total":4.0,"age":9.0},"level":1,"late":true,"dropped":2,"skipped":{"parsing":"over budget"},'
    '"skips":[{"task":"parsing","reason":"budget","detail":"over budget"}],'
    '"events":[{"kind":"source_back","at_s":12.25,"what":"camera 0","duration_s":1.5},'
    '{"kind":"emotion_onset","at_s":12.345679,"what":"happiness","track_id":3}]}\n'
)


def test_the_golden_line() -> None:
    everything = face(
        track_id=3,
        pose=HeadPose(-12.3456, 3.0, 0.5),
        emotion=Emotion("happiness", np.array([0.1, 0.9, 0, 0, 0, 0, 0, 0])),
        parsing=Parsing(LABELS, np.array([[2, 0, 5.5], [0, 2, 6.5]])),
        age_ms={"emotion": 0.0, "parsing": 40.0},
        quality=0.75,
    )
    line = records.to_line(
        result(
            everything,
            tasks=("parsing", "emotion", "pose"),
            timing=Timing(detect_ms=1.23456, engine_ms=2.5, total_ms=4.0, age_ms=9.0),
            level=1,
            late=True,
            dropped=2,
            skips=(Skip("parsing", SkipReason.BUDGET, "over budget"),),
            events=(
                Event("source_back", 12.25, "camera 0", duration_s=1.5),
                Event("emotion_onset", 12.3456789, "happiness", track_id=3),
            ),
        ).to_dict()
    )
    assert line == GOLDEN


def test_absent_is_not_asked_and_null_is_not_available() -> None:
    (record,) = result(face(), tasks=("landmarks", "pose")).to_dict()["faces"]
    assert record["landmarks_px"] is None
    assert record["yaw_deg"] is None
    assert record["track_id"] is None
    assert not {"emotion", "parsing"} & set(record)


def test_landmarks_and_unknown_points() -> None:
    points = np.full((68, 2), 1.005)
    unknown = Face(np.zeros(4), 1.0, np.full((5, 2), np.nan), landmarks=Landmarks(points, 0.5))
    (record,) = result(unknown, tasks=("landmarks",)).to_dict()["faces"]
    assert record["points5_px"] is None
    assert len(record["landmarks_px"]) == 68
    assert record["landmarks_px"][0] == pytest.approx([1.0, 1.0], abs=0.01)
    assert record["landmarks_score"] == 0.5


def test_label_maps_can_be_left_out() -> None:
    parsed = face(parsing=Parsing(LABELS, np.zeros((2, 3))))
    assert "parsing" in result(parsed).to_dict()["faces"][0]
    assert "parsing" not in result(parsed).to_dict(parsing=False)["faces"][0]


@pytest.mark.parametrize("seed", range(3))
def test_label_maps_come_back_as_they_were(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2 + 8 * seed, (17, 13)).astype(np.uint8)
    record = Parsing(labels, np.zeros((2, 3))).to_dict()
    assert sum(record["counts"]) == labels.size
    assert np.array_equal(decode_parsing(json.loads(json.dumps(record))), labels)


def test_the_first_and_the_last_line() -> None:
    header = records.header_record(
        version="1.2.3",
        source={"name": "demo"},
        analyzer={"models": {"detector": "abc"}, "version": "9"},
        options={"max_faces": 8},
        emotions=("neutral",),
        parsing_classes=("background",),
    )
    assert header == {
        "schema": "rtface.result/1",
        "kind": "header",
        "version": "1.2.3",
        "started_at": None,
        "source": {"name": "demo"},
        "models": {"detector": "abc"},
        "runtime": {"version": "9"},
        "options": {"max_faces": 8},
        "emotions": ["neutral"],
        "parsing_classes": ["background"],
    }
    summary = records.summary_record(
        frames=30,
        faces=60,
        corrupt=1,
        dropped=2,
        late=3,
        levels={2: 10, 0: 20},
        level_moves=1,
        seconds=2.0,
        work_ms={"p50": 1.0},
        age_ms={"p50": None},
        interrupted=True,
        error=None,
        events=[Event("source_lost", 1.0, "unplugged")],
    )
    assert summary == {
        "schema": "rtface.result/1",
        "kind": "summary",
        "complete": False,
        "interrupted": True,
        "error": None,
        "frames": 30,
        "faces": 60,
        "corrupt": 1,
        "dropped": 2,
        "late": 3,
        "levels": {"0": 20, "2": 10},
        "level_moves": 1,
        "duration_s": 2.0,
        "fps": 15.0,
        "work_ms": {"p50": 1.0},
        "age_ms": {"p50": None},
        "events": [{"kind": "source_lost", "at_s": 1.0, "what": "unplugged"}],
        "unreadable": [],
    }


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.to_line({"score": float("nan")})
