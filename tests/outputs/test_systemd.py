from __future__ import annotations

from rtface.bench.people import Person, results
from rtface.outputs.sink import RunInfo
from rtface.outputs.systemd import SystemdSink


def test_ready_comes_with_the_first_result_and_the_watchdog_while_they_go_on():
    told, now = [], [100.0]
    sink = SystemdSink(told.append, lambda: now[0])
    with sink:
        sink.open(RunInfo("door\ncamera", live=True, stills=False, fps=None, frame_count=None, header={}))
        assert told == ["STATUS=waiting for the first frame of door camera"]
        for result in results([Person(1, here=[(0, 9)])], 5.0, fps=10):
            now[0] += 0.1
            sink.write(result)
        lines = [message.splitlines()[0] for message in told[1:]]
        assert lines == ["READY=1", *["WATCHDOG=1"] * 4]
        assert "10 frames a second" in told[-1]
        now[0] += 60  # no result: nothing is said
        assert len(told) == 6
        sink.finish({})
        assert told[-1] == "STOPPING=1"
