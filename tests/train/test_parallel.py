"""Processes that torchrun starts learn as one: the same weights, from the mean of their gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rtface.errors import OptionError  # noqa: E402
from rtface.train import parallel  # noqa: E402

WORKER = """
import json, sys, os
from pathlib import Path
import torch
from torch import nn
from rtface.train import parallel
from rtface.train.run import Run, RunConfig, Schedule, load, optimizer, prepare, run_session

folder = Path(sys.argv[1])
prepare(RunConfig(folder, folder / "run", folder, seed=int(os.environ["RANK"]), device="cpu"))
net = nn.ModuleDict({"all": nn.Linear(3, 2), "leader": nn.Linear(3, 2), "nobody": nn.Linear(3, 2)})
run = Run(folder / "run", net, optimizer(net, 0.1), Schedule(0.1, steps=3, warmup=1))
seen = []

def make(number, _):
    seen.append(number)
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(number))

batches = load(make, run.step, lambda: None)
with run_session(run, batches):
    before = {k: v.tolist() for k, v in net.state_dict().items()}
    while run.progress < 1.0:
        batch = next(batches)
        loss = net["all"](batch).square().mean()
        if parallel.leads():
            loss = loss + net["leader"](batch).square().mean()
        run.update({"loss": loss}, len(batch))
        run.maybe_validate(0.0, lambda: {"by": float(parallel.team().rank)})
    rank = parallel.team().rank
after = {k: v.tolist() for k, v in net.state_dict().items()}
told = {"before": before, "after": after, "seconds": run.seconds, "first": seen[0], "second": seen[1]}
(folder / f"{rank}.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    """What two processes that trained together say."""
    folder = tmp_path_factory.mktemp("parallel")
    script = folder / "worker.py"
    script.write_text(WORKER)
    root = Path(parallel.__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("step 3 100.0%") == 1  # said once
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_all_begin_with_the_first_ones_weights_and_take_the_same_steps(told: tuple[Path, list[dict]]) -> None:
    _, (leader, follower) = told
    assert leader["before"] == follower["before"]
    assert leader["after"] == follower["after"]
    assert leader["after"]["all.weight"] != leader["before"]["all.weight"]


def test_a_weight_that_only_one_batch_speaks_of_learns_and_one_of_none_stays(told: tuple[Path, list[dict]]) -> None:
    _, (leader, _) = told
    assert leader["after"]["leader.weight"] != leader["before"]["leader.weight"]
    assert leader["after"]["nobody.weight"] == leader["before"]["nobody.weight"]


def test_no_batch_is_seen_twice_and_the_clock_is_the_first_ones(told: tuple[Path, list[dict]]) -> None:
    folder, (leader, follower) = told
    assert [(one["first"], one["second"]) for one in (leader, follower)] == [(0, 2), (1, 3)]
    assert leader["seconds"] == follower["seconds"]
    assert (folder / "run" / "last.pt").is_file()
    assert len((folder / "run" / "log.csv").read_text().splitlines()) == 1 + 3


def test_the_mean_is_that_of_one_process_with_both_batches(told: tuple[Path, list[dict]]) -> None:
    _, (leader, _) = told
    layer = torch.nn.Linear(3, 2)
    layer.load_state_dict({k: torch.tensor(leader["before"][f"all.{k}"]) for k in ("weight", "bias")})
    groups = [{"params": [layer.weight], "weight_decay": 0.02}, {"params": [layer.bias], "weight_decay": 0.0}]
    from rtface.train.run import Schedule

    schedule, steps = Schedule(0.1, steps=3, warmup=1), torch.optim.AdamW(groups, 0.1)
    for step in range(3):
        both = [torch.randn(4, 3, generator=torch.Generator().manual_seed(2 * step + rank)) for rank in (0, 1)]
        for group in steps.param_groups:
            group["lr"] = schedule.rate(step, step / 3)
        steps.zero_grad()
        layer(torch.cat(both)).square().mean().backward()
        steps.step()
    assert torch.allclose(layer.weight, torch.tensor(leader["after"]["all.weight"]), atol=1e-5)


def test_without_torchrun_there_is_one_process_and_nothing_is_asked_of_others() -> None:
    assert parallel.team() == parallel.Team(0, 1, 0) and parallel.leads()
    assert parallel.agree(1.5) == 1.5


def test_a_training_of_one_process_refuses_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="one process"):
        parallel.alone("superfan")
