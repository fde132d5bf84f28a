"""What was done is skipped, what was begun is done again, and nothing else is overwritten."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rtface.archive.jobs import Job
from rtface.archive.state import DONE, FAILED, NAME, Outcome, State, is_whole, sort_out
from rtface.errors import OutputError
from rtface.options import Options
from rtface.version import __version__

OPTIONS = Options()
SUMMARY = {"kind": "summary", "complete": True}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "a.mp4").write_bytes(b"source")
    return Job(0, str(tmp_path / "a.mp4"), (str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv?columns=openface")))


def state(job: Job, options: Options = OPTIONS, **more: object) -> State:
    return State(Path(job.source).parent / NAME, options, **more)


def lines(path: Path, *records: object) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def header(job: Job, options: Options = OPTIONS) -> dict[str, object]:
    return {"kind": "header", "version": __version__, "source": {"name": job.source}, "options": options.to_dict()}


def finish(job: Job, status: str = DONE) -> None:
    with state(job) as kept:
        kept.start([job])
        lines(job.paths[0], header(job), SUMMARY)
        job.paths[1].write_text("")
        kept.end([job], [Outcome(job.source, job.outputs, status)])


def test_what_is_done_is_skipped_by_a_later_run(job: Job) -> None:
    finish(job)
    with state(job) as kept:
        assert sort_out([job], kept) == ([], 1)
    with state(job, replace(OPTIONS, threads=7)) as kept:
        assert sort_out([job], kept) == ([], 1)


def test_another_source_other_options_or_a_lost_output_are_not_done(job: Job) -> None:
    finish(job)
    for options, most in ((Options(max_faces=1), None), (OPTIONS, 3)):
        with (
            state(job, options, max_frames=most) as kept,
            pytest.raises(OutputError, match=r"exists already \(2 outputs do\).* -y"),
        ):
            sort_out([job], kept)
    with state(job, Options(max_faces=1)) as kept:
        assert sort_out([replace(job, overwrite=True)], kept)[1] == 0
    os.utime(job.source, ns=(0, 0))
    with state(job) as kept, pytest.raises(OutputError, match="exists already"):
        sort_out([job], kept)
    for path in job.paths:
        path.unlink()
    with state(job) as kept:
        assert sort_out([job], kept) == ([job], 0)


def test_a_beginning_of_its_own_is_replaced_without_asking(job: Job) -> None:
    with state(job) as kept:
        kept.start([job])
    lines(job.paths[0], header(job), {"kind": "frame"})
    job.paths[1].write_text("frame\n")
    with state(job) as kept:
        assert sort_out([job], kept) == ([replace(job, overwrite=True)], 0)
    lines(job.paths[0], header(job), {"kind": "frame"}, {"kind": "summary", "complete": False})
    with state(job) as kept:
        assert sort_out([job], kept) == ([replace(job, overwrite=True)], 0)


def test_a_file_that_the_state_does_not_know_is_never_replaced(job: Job) -> None:
    lines(job.paths[0], header(job))
    with state(job) as kept, pytest.raises(OutputError, match="exists already"):
        sort_out([job], kept)


def test_a_whole_result_of_somebody_else_is_not_replaced_though_the_job_was_begun(job: Job) -> None:
    with state(job) as kept:
        kept.start([job])
    for theirs in (header(job, Options(max_faces=1)), {**header(job), "source": {"name": "a.mp4"}}):
        lines(job.paths[0], theirs, SUMMARY)
        with state(job) as kept, pytest.raises(OutputError, match="exists already"):
            sort_out([job], kept)
    lines(job.paths[0], header(job), SUMMARY)  # its own: killed before the state file said so
    with state(job) as kept:
        assert sort_out([job], kept) == ([replace(job, overwrite=True)], 0)


def test_a_failed_job_is_tried_again(job: Job) -> None:
    finish(job, FAILED)
    with state(job) as kept:
        assert sort_out([job], kept) == ([replace(job, overwrite=True)], 0)


def test_outputs_of_an_earlier_run_are_no_sources(job: Job, tmp_path: Path) -> None:
    finish(job)
    found = [
        Job(1, str(tmp_path / name), (str(tmp_path / f"again-{name}.jsonl"),))
        for name in ("a.csv", "a.part-0123abcd.csv")
    ]
    other = Job(3, str(tmp_path / "b.part-0123abcd.csv"), (str(tmp_path / "b.jsonl"),))
    with state(job) as kept:
        assert sort_out([job, *found, other], kept) == ([other], 1)


def test_half_a_line_of_a_run_that_was_killed_does_no_harm(job: Job) -> None:
    finish(job)
    path = Path(job.source).parent / NAME
    with path.open("ab") as file:
        file.write(b'{"status":"sta')
    other = replace(job, outputs=(job.outputs[0] + "2",))
    with state(job) as kept:
        kept.start([other])
        kept.end([other], [Outcome(other.source, other.outputs, DONE)])
    Path(other.outputs[0]).write_text("")
    with state(job) as kept:
        assert kept.is_done(job) and kept.is_done(other)


def test_two_runs_do_not_share_a_state_file(job: Job) -> None:
    with state(job), pytest.raises(OutputError, match="another run is working on this archive"):
        state(job)
    with state(job):
        pass


def test_a_file_of_another_kind_is_not_taken_for_a_state_file(job: Job, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"schema":"rtface.result/1","kind":"header"}\n')
    with pytest.raises(OutputError, match="is no state file"):
        state(job)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", False),
        ('{"kind":"header"}\n', False),
        ('{"kind":"summary","complete":true}\n', True),
        ('{"kind":"summary","complete":true}', False),
        ('{"kind":"summary","complete":false}\n', False),
        ("x" * 70000 + "\n" + '{"kind":"summary","complete":true,"more":"' + "y" * 70000 + '"}\n', True),
    ],
    ids=["empty", "header", "whole", "cut", "interrupted", "long"],
)
def test_which_files_end_with_a_summary(tmp_path: Path, text: str, whole: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    assert is_whole(path) is whole
