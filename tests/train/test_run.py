"""What both trainings share: schedule, averaged weights, a run that goes on where it was, its log, prefetching."""

from __future__ import annotations

import csv
import math
import threading
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rtface.errors import ModelError, OptionError, OutputError
from rtface.train.run import Ema, Run, Schedule, load, pick_device, plot_log, prefetch, read_checkpoint
from tests.train.made import files_up_to


def test_schedule_warms_up_then_falls_to_two_per_cent() -> None:
    schedule = Schedule(peak=1.0, steps=1000, warmup=100)
    rates = [schedule.rate(step, schedule.progress(step, 0.0)) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    assert rates[50] == pytest.approx(0.51, abs=0.01)
    assert max(rates) == pytest.approx(0.98, abs=0.01) and rates.index(max(rates)) in (98, 99, 100)
    assert rates[1000] == pytest.approx(0.02)
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert schedule.rate(500, 0.5) == pytest.approx(0.02 + 0.98 / 2)


def test_schedule_ends_at_what_comes_first() -> None:
    both = Schedule(peak=1.0, minutes=10, steps=100)
    assert both.progress(50, 60.0) == 0.5
    assert both.progress(10, 300.0) == 0.5
    assert both.progress(200, 0.0) == both.progress(0, 6000.0) == 1.0
    assert Schedule(peak=1.0, minutes=10).progress(10**9, 0.0) == 0.0
    assert Schedule(peak=1.0, steps=10).progress(5, 1e9) == 0.5


def test_ema_follows_fast_at_first_and_slowly_later() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = Ema(net, decay=0.99)
    start = ema.state["0.weight"].clone()
    with torch.no_grad():
        net[0].weight += 1.0
        net[1].num_batches_tracked += 7
    ema.update(net, 0)
    assert (ema.state["0.weight"] - start).flatten().tolist() == pytest.approx([0.9] * 4)  # decay (1 + 0) / (10 + 0)
    assert ema.state["1.num_batches_tracked"] == 7  # whole numbers are copied
    held = ema.state["0.weight"].clone()
    ema.update(net, 10**6)
    assert (ema.state["0.weight"] - held).flatten().tolist() == pytest.approx([0.1 * 0.01] * 4, rel=1e-2)
    for step in range(2000):
        ema.update(net, step)
    torch.testing.assert_close(ema.state["0.weight"], net[0].weight.detach())
    assert ema.state["0.weight"].data_ptr() != net[0].weight.data_ptr()


def started(folder: Path, outputs: int = 3, steps: int = 10) -> Run:
    torch.manual_seed(0)
    net = nn.Linear(4, outputs)
    return Run(folder, net, torch.optim.AdamW(net.parameters(), lr=0.1), Schedule(0.1, steps=steps, warmup=1))


def train(run: Run, steps: int) -> None:
    for _ in range(steps):
        x = torch.full((5, 4), float(run.step + 1))
        run.update({"square": run.net(x).pow(2).mean(), "line": run.net(x).abs().mean()}, seen=5)


def test_a_resumed_run_is_the_run_itself(tmp_path: Path) -> None:
    whole = started(tmp_path / "whole")
    train(whole, 6)

    first = started(tmp_path / "parts")
    assert not first.resume()  # nothing to go on from
    train(first, 3)
    first.save()
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["last.pt"]

    second = started(tmp_path / "parts")
    with torch.no_grad():
        second.net.weight.fill_(9.0)  # whatever it starts with
    assert second.resume()
    assert (second.step, second.seconds) == (3, first.seconds)
    torch.testing.assert_close(second.net.state_dict(), first.net.state_dict(), rtol=0, atol=0)
    train(second, 3)
    assert second.step == 6 and second.progress == 0.6
    torch.testing.assert_close(second.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)  # Adam's memory too
    torch.testing.assert_close(second.ema.state, whole.ema.state, rtol=0, atol=0)


def test_update_follows_the_schedule_and_a_groups_own_scale(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "rate_scale": 0.1})
    train(run, 4)
    rate = run.schedule.rate(3, 0.3)
    assert [g["lr"] for g in run.optimizer.param_groups] == pytest.approx([rate, 0.1 * rate])


def test_a_step_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    run = started(tmp_path)
    before = run.net.weight.clone()
    run.update({"bad": run.net(torch.full((1, 4), math.inf)).sum()}, seen=1)
    torch.testing.assert_close(run.net.weight, before)
    assert run.step == 1 and torch.isfinite(run.ema.state["weight"]).all()


def test_a_full_disk_ends_no_training_until_the_runs_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.train.run.SAVE_EVERY_S", 0.0)
    run = started(tmp_path)
    run.save()
    kept = run.checkpoint.read_bytes()
    with files_up_to(100):
        train(run, 3)  # saves each time
        run.maybe_validate(0.0, lambda: {"a figure that needs more than the hundred bytes there are: " + 50 * "-": 1.0})
        assert run.step == 3 and run.checkpoint.read_bytes() == kept
        with pytest.raises(OutputError, match=r"last\.pt: cannot be written \(File too large\)\. Make room"):
            run.save()
    told = capsys.readouterr().err
    assert told.count("training goes on and tries again") == 4 and told.count("this row is left out") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"] and run.checkpoint.read_bytes() == kept
    run.save()
    assert started(tmp_path).resume()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    run = started(tmp_path)
    run.save()
    data = run.checkpoint.read_bytes()
    if damage == "other":
        torch.save({"weights": torch.zeros(3)}, run.checkpoint)
    else:
        run.checkpoint.write_bytes({"cut": data[: len(data) // 2], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(ModelError, match=r"last\.pt: is no .*checkpoint.*Delete it"):
        started(tmp_path).resume()
    assert run.checkpoint.exists()  # it is left to its owner


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    started(tmp_path, outputs=3).save()
    with pytest.raises(ModelError, match="of another network"):
        started(tmp_path, outputs=5).resume()


def test_a_missing_checkpoint_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="rtface train"):
        read_checkpoint(tmp_path / "last.pt", ("ema",))


def test_pauses_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("rtface.train.run.time.monotonic", lambda: now[0])
    run = started(tmp_path)
    now[0] += 2
    train(run, 1)
    now[0] += 1
    run.pause()
    now[0] += 50
    run.unpause()
    now[0] += 3
    train(run, 1)
    assert run.seconds == 6


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_report_logs_means_and_grows_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("rtface.train.run.time.monotonic", lambda: now[0])
    run = started(tmp_path)
    for value in (1.0, 3.0):
        now[0] += 2.0
        run.update({"square": run.net(torch.zeros(1, 4)).sum() * 0 + value}, seen=10)
    run.report()
    now[0] += 1.0
    run.update({"square": run.net(torch.zeros(1, 4)).sum() * 0 + 7}, seen=10)
    run.report({"score": 62.5})
    first, second = rows(tmp_path)
    assert (first["step"], first["square"], first["per_second"], first["score"]) == ("2", "2", "5", "")
    assert (second["step"], second["square"], second["per_second"], second["score"]) == ("3", "7", "10", "62.5")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "step 2 20.0% 5/s" in lines[0] and "score 62.50" in lines[1]


def test_the_log_becomes_a_picture(tmp_path: Path) -> None:
    assert plot_log(tmp_path) is None
    run = started(tmp_path)
    train(run, 1)
    run.report()
    train(run, 1)
    run.report({"score": 1.0})
    drawn = plot_log(tmp_path)
    assert drawn == tmp_path / "log.png" and drawn.read_bytes()[:4] == b"\x89PNG"


def test_prefetch_keeps_order_and_ends_its_thread() -> None:
    threads = threading.active_count()
    numbers = count()
    ahead = prefetch(lambda: next(numbers), depth=2)
    assert [next(ahead) for _ in range(20)] == list(range(20))
    assert threading.active_count() == threads + 1
    ahead.close()
    assert threading.active_count() == threads


def test_prefetch_raises_what_was_raised() -> None:
    made: Any = iter([1, 2])
    ahead = prefetch(lambda: 1 // (2 - next(made)))
    assert next(ahead) == 1
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_by_number_in_order(workers: int) -> None:
    size = 64
    ahead = load(lambda number, size: torch.tensor([number, size]), 5, lambda: size, workers)
    assert [next(ahead).tolist() for _ in range(9)] == [[number, 64] for number in range(5, 14)]
    ahead.close()
    size = 96  # asked for a few batches ahead, in this process
    ahead = load(lambda number, size: torch.tensor([number, size]), 0, lambda: size, workers)
    assert next(ahead).tolist() == [0, 96]
    ahead.close()


def test_a_workers_error_is_raised_here() -> None:
    ahead = load(lambda number, _: 1 // (2 - number), 0, lambda: None, workers=1)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(ahead)


def test_a_killed_run_loses_at_most_five_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("rtface.train.run.time.monotonic", lambda: now[0])
    run = started(tmp_path, steps=10**6)
    saved: list[float] = []
    monkeypatch.setattr(torch, "save", lambda state, file: (saved.append(now[0]), file.write(b"")))
    for _ in range(130):
        now[0] += 10.0
        train(run, 1)
    assert saved == [120, 420, 720, 1020]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(OptionError, match="no CUDA device"):
        pick_device("cuda")
    with pytest.raises(OptionError, match="expected auto, cpu or cuda, got 'gpu'"):
        pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("cuda").type == "cuda"
