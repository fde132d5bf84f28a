"""Archives on a cluster: the rows of one machine, each once, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rtface.archive.run import Watcher, run_archive
from rtface.archive.state import DONE, FAILED, Outcome, is_whole
from rtface.options import Options
from tests.cluster.conftest import kill_a_node
from tests.conftest import Cli
from tests.media import write_video

OPTIONS = Options(tasks=("pose",), still_tta=1, still_refine=1, threads=1)
FILES = int(os.environ.get("ARCHIVE_FILES", "90"))
"""Short ones; 1000 takes minutes."""


def on_ray(orders: Any, on_start: Any, _: Any) -> Any:
    from rtface.cluster.archive import RayRunner

    return RayRunner(orders, on_start, address="auto")


def test_the_rows_are_those_of_one_machine_and_a_bad_file_is_named(cluster: Any, tmp_path: Path) -> None:
    pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
    (tmp_path / "in").mkdir()
    for name, frames in (("a", 12), ("b", 7)):
        write_video(tmp_path / f"in/{name}.mp4", frames=frames)
    shutil.copy("rtface/assets/demo.mp4", tmp_path / "in/demo.mp4")
    (tmp_path / "in/bad.mp4").write_bytes(b"no video")
    how: dict[str, Any] = {"options": OPTIONS, "max_frames": 20}
    here = run_archive(tmp_path / "in", [f"{tmp_path}/here/{{stem}}.parquet"], jobs=1, **how)
    there = run_archive(tmp_path / "in", [f"{tmp_path}/there/{{stem}}.parquet"], runner=on_ray, **how)
    assert [(one.source, one.status, one.frames) for one in here.outcomes] == [
        (one.source, one.status, one.frames) for one in there.outcomes
    ]
    assert [Path(one.source).name for one in there.failures] == ["bad.mp4"]
    for name in ("a", "b", "demo"):
        rows = [pyarrow_dataset.dataset(tmp_path / where / f"{name}.parquet").to_table() for where in ("here", "there")]
        assert rows[0].drop_columns("age_ms").equals(rows[1].drop_columns("age_ms"))
    assert len(rows[0]) == 20

    from rtface.cluster.archive import dataset

    table = dataset(tmp_path / "in", options=OPTIONS, address="auto", max_frames=20).to_pandas()
    (failed,) = table[table["error"].notna()].to_dict("records")
    assert Path(failed["source"]).name == "bad.mp4" and "is not a video or picture" in failed["error"]
    found = table[table["error"].isna()]
    assert list(found["frame"]) == rows[0]["frame"].to_pylist()
    assert list(found["yaw_deg"]) == rows[0]["yaw_deg"].to_pylist()


def test_a_folder_of_rows_from_the_command_line(cluster: Any, cli: Cli, tmp_path: Path) -> None:
    pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
    (tmp_path / "in").mkdir()
    shutil.copy("rtface/assets/demo.mp4", tmp_path / "in/demo.mp4")
    (tmp_path / "in/bad.mp4").write_bytes(b"no video")
    command = ["run", tmp_path / "in", "-o", f"{tmp_path}/rows.parquet/", "--ray", "auto", "--max-frames", 5]
    done = cli(*command, "--tasks", "pose")
    assert done.code == 3 and "bad.mp4: is not a video or picture" in done.err
    rows = pyarrow_dataset.dataset(tmp_path / "rows.parquet").to_table().to_pylist()
    assert sorted(Path(row["source"]).name for row in rows) == ["bad.mp4", *["demo.mp4"] * 5]
    assert {row["frame"] for row in rows if row["error"] is None} == set(range(5))
    assert "holds Parquet files already" in cli(*command).err
    (tmp_path / "in/bad.mp4").unlink()
    assert cli(*command, "-y", "--tasks", "pose").code == 0
    assert len(pyarrow_dataset.dataset(tmp_path / "rows.parquet").to_table()) == 5


class Killing(Watcher):
    """Pulls a node's plug in the middle."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.done: Counter[str] = Counter()

    def end(self, bundle: Any, outcomes: Sequence[Outcome]) -> None:
        self.done.update(outcome.source for outcome in outcomes)
        if len(self.done) == FILES // 3:
            kill_a_node(self._cluster)


def test_every_row_comes_once_though_a_node_dies_in_mid_run(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    first = write_video(tmp_path / "in/0000.mp4", frames=10)
    for number in range(1, FILES):
        shutil.copy(first, tmp_path / f"in/{number:04}.mp4")
    watcher = Killing(cluster)
    outputs = [f"{tmp_path}/out/{{stem}}.jsonl", f"{tmp_path}/out/{{stem}}.csv"]
    report = run_archive(tmp_path / "in", outputs, options=OPTIONS, runner=on_ray, watcher=watcher)
    assert [one.status for one in report.outcomes] == [DONE] * FILES
    assert set(watcher.done.values()) == {1}
    for number in range(FILES):
        path = tmp_path / f"out/{number:04}.jsonl"
        assert is_whole(path)
        frames = [json.loads(line) for line in path.read_text().splitlines()][1:-1]
        assert [frame["index"] for frame in frames] == list(range(10))
    again = run_archive(tmp_path / "in", outputs, options=OPTIONS, runner=on_ray)
    assert again.done_before == FILES


def test_a_file_that_kills_every_process_fails_alone(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rtface.cluster.archive as on_cluster

    class Deadly(on_cluster._ArchiveActor):
        def __init__(self, **how: Any) -> None:
            super().__init__(**how)
            do = self._worker.do

            def deadly(bundle: Any, progress: Any) -> Any:
                if "deadly" in bundle[0].source:
                    os.kill(os.getpid(), 9)  # as a decoder that crashes
                return do(bundle, progress)

            self._worker.do = deadly  # type: ignore[method-assign]

    monkeypatch.setattr(on_cluster, "_ArchiveActor", Deadly)
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "deadly"):
        write_video(tmp_path / f"in/{name}.mp4", frames=3)
    report = run_archive(tmp_path / "in", [f"{tmp_path}/out/{{stem}}.jsonl"], options=OPTIONS, runner=on_ray)
    assert [one.status for one in report.outcomes] == [DONE, DONE, FAILED]
    assert "died, 3 times" in str(report.outcomes[2].error)
