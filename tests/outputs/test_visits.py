from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from rtface.audience.publish import WindowPublisher
from rtface.bench.people import Person, results
from rtface.errors import OutputError, SourceError
from rtface.outputs.sink import RunInfo
from rtface.outputs.visit_store import VisitStore
from rtface.outputs.visits import VisitsSink
from tests.audience.made import visit

UTC = ZoneInfo("UTC")
INFO = RunInfo("made", live=True, stills=False, fps=30.0, frame_count=None, header={"version": "0"})
NOON = 1_790_000_000.0 // 86400 * 86400 + 43200


def people(count: int, start: float = 1.0) -> list[Person]:
    return [Person(n, here=[(start + n, start + n + 4)], looks=[(start + n + 1, start + n + 3)]) for n in range(count)]


def written(path, who, seconds=30.0, **more) -> None:
    import time

    shift = time.monotonic() - 1000.0
    sink = VisitsSink(path, clock=lambda: NOON + time.monotonic() - 1000.0 - shift, **more)
    with sink:
        sink.open(INFO)
        for result in results(who, seconds, fps=10):
            sink.write(replace(result, frame=replace(result.frame, captured_at=result.captured_at + shift)))
        sink.finish({})


def test_visits_are_in_the_database_and_windows_come_of_them(tmp_path):
    path = tmp_path / "visits.db"
    written(path, people(3))
    written(path, people(2))  # continued
    with VisitStore(path, write=False) as store:
        visits = list(store.visits())
        assert len(visits) == 5
        assert visits[0].dwell_s == pytest.approx(4.0, abs=0.2)
        assert visits[0].started_at == pytest.approx(NOON + 1.0, abs=0.5)
        (window,) = store.windows("1h", zone=UTC)
        assert (window.visits, window.watchers) == (5, 5)
        assert sum(seconds for seconds, _ in window.heat.values()) == pytest.approx(20.0, abs=0.5)
        assert store.windows("1d", since=NOON + 86400) == []
        assert store.facts()["privacy"] == "full"


def test_no_number_of_a_track_and_no_way_is_kept(tmp_path):
    path = tmp_path / "visits.db"
    written(path, people(1))
    with sqlite3.connect(path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(visits)")]
    assert columns == ["id", "camera", "started_at", "dwell_s", "attention_s", "looks", "smiles", "emotion", "near"]


def test_only_windows_of_many_leave_in_aggregate_mode(tmp_path):
    path = tmp_path / "visits.db"
    written(path, people(6), aggregate=True)
    written(path, people(4), aggregate=True)
    with VisitStore(path, write=False) as store:
        assert list(store.visits()) == []
        assert store.windows("15min") == []
        assert [record["visits"] for record in store.published("1h")] == [6]
        assert [record["visits"] for record in store.published("1d")] == [6]
    assert b"happiness" not in path.read_bytes().replace(b'"happiness": null', b"")


def test_windows_are_given_out_when_they_are_over_and_late_visits_are_left_out():
    publisher = WindowPublisher(zone=UTC)
    for minute in range(7):
        publisher.add(visit(NOON + 60 * minute))
    assert publisher.close(NOON + 3600) == []  # somebody who came in it may still be there
    ((window, record),) = publisher.close(NOON + 3901)
    assert (window.start, record["visits"]) == (NOON, 7)
    publisher.add(visit(NOON + 120))
    for minute in range(3):
        publisher.add(visit(NOON + 3600 + minute))
    assert publisher.close(NOON + 8000) == []  # three
    assert publisher.close(NOON + 2 * 86400) == []  # the day less noon's hour would tell of them
    for minute in range(9):
        publisher.add(visit(NOON + minute))
    assert publisher.close(NOON + 3 * 86400) == []  # that day is closed


def test_what_is_too_old_is_forgotten(tmp_path):
    with VisitStore(tmp_path / "visits.db", write=True) as store:
        store.add([visit(NOON - 40 * 86400, cells={3: 1.0}), visit(NOON, cells={4: 1.0})])
        assert store.forget(30, NOON) == 1
        assert [one.started_at for one in store.visits()] == [NOON]
        assert [set(window.heat) for window in store.windows("1d")] == [{4}]


def test_what_was_committed_survives_a_kill(tmp_path):
    path = tmp_path / "visits.db"
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from rtface.outputs.visit_store import VisitStore
        from tests.audience.made import visit
        store = VisitStore(Path(sys.argv[1]), write=True)
        for number in range(100000):
            store.add([visit(1e9 + number, cells={1: 1.0})])
            print(number, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 40:
            os.kill(process.pid, signal.SIGKILL)
            break
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    told = int(rest[-1]) + 1 if rest else 41
    with VisitStore(path, write=True) as store:
        assert len(list(store.visits())) >= told
        assert store.windows("15min")[0].heat[1][1] > 0


def test_another_file_is_left_alone(tmp_path):
    text, other = tmp_path / "notes.db", tmp_path / "other.db"
    text.write_text("not a database, and long enough to be looked at " * 20)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(OutputError, match=path.name):
            VisitStore(path, write=True)
        with pytest.raises(SourceError, match=path.name):
            VisitStore(path, write=False)
        assert path.read_bytes() == before
    with pytest.raises(SourceError, match="is not there"):
        VisitStore(tmp_path / "none.db", write=False)
    with pytest.raises(OutputError):
        VisitStore(tmp_path / "no" / "folder.db", write=True)


def test_others_read_while_it_is_written(tmp_path):
    path = tmp_path / "visits.db"
    with VisitStore(path, write=True) as writer, VisitStore(path, write=False) as reader:
        for number in range(5):
            writer.add([visit(NOON + number)])
            assert len(list(reader.visits())) == number + 1
        with pytest.raises(SourceError, match="readonly"):
            reader.add([visit(NOON)])


def test_records_are_json(tmp_path):
    publisher = WindowPublisher(zone=UTC)
    for second in range(9):
        publisher.add(visit(NOON + second, cells={5: 3.0}))
    for _, record in publisher.close(float("inf")):
        assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_run_names_it_and_goes_on_with_it(tmp_path, cli):
    path = tmp_path / "visits.db"
    for count in (1, 2):
        done = cli("run", "demo", "-o", f"{path}?retention_days=7", "--audience", "-o", tmp_path / f"{count}.jsonl")
        assert done.code == 0, done.err
        with VisitStore(path, write=False) as store:
            assert len(list(store.visits())) >= count
            assert store.facts()["retention_days"] == 7
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    kinds = [event["kind"] for line in lines[1:] for event in line["events"]]
    assert kinds.index("arrived") < kinds.index("left")
    assert lines[0]["options"]["audience_rules"]["grace_s"] == 3.0
    assert cli("run", "demo", "-o", f"{path}?retention=7").code == 2
