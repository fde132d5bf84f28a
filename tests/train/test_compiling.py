"""Compiled networks: the same steps, the same names, and one error where nothing can be compiled."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rtface.errors import OptionError
from rtface.train import compiling
from rtface.train.config import EngineConfig
from rtface.train.nets.ifan import EngineNet, Rows
from rtface.train.run import Run, Schedule

CPU = torch.device("cpu")
ROWS = Rows(slice(1, 3), slice(2, 4))


@pytest.fixture(scope="module")
def compiler() -> None:
    """Skips where torch.compile has no compiler."""
    try:
        compiling._try(CPU)
    except OptionError as error:
        pytest.skip(error.why)


def started(folder: Path, compiled: bool) -> Run:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4))
    if compiled:
        compiling.compile_network(net, CPU)
    return Run(folder, net, torch.optim.AdamW(net.parameters(), lr=0.01), Schedule(0.01, steps=6, warmup=1))


def train(run: Run, steps: int) -> None:
    for _ in range(steps):
        batch = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(run.step))
        run.update({"loss": run.net(batch).square().mean()}, 4)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("first", [False, True])
def test_a_run_goes_on_with_or_without_and_is_the_same(tmp_path: Path, first: bool) -> None:
    plain = started(tmp_path / "plain", compiled=False)
    train(plain, 6)
    begun = started(tmp_path / "mixed", compiled=first)
    train(begun, 3)
    begun.save()
    saved = torch.load(begun.checkpoint, weights_only=True)
    assert list(saved["net"]) == list(saved["ema"]) == list(plain.net.state_dict())  # no `_orig_mod.`
    ended = started(tmp_path / "mixed", compiled=not first)
    assert ended.resume()
    train(ended, 3)
    for ours, theirs in ((ended.net.state_dict(), plain.net.state_dict()), (ended.ema.state, plain.ema.state)):
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


WORKER = """
import json, os, sys
from pathlib import Path
import torch
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import RunConfig
from rtface.train.run import Run, Schedule, load, optimizer, prepare, run_session

folder = Path(sys.argv[1])
prepare(RunConfig(folder, folder / "run", folder, seed=int(os.environ["RANK"]), device="cpu", threads=1))
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
compile_network(net, torch.device("cpu"))
run = Run(folder / "run", net, optimizer(net, 0.1), Schedule(0.1, steps=3, warmup=1))
batches = load(lambda n, _: torch.randn(4, 3, generator=torch.Generator().manual_seed(n)), 0, lambda: None)
with run_session(run, batches):
    while run.progress < 1.0:
        run.update({"loss": net(next(batches)).square().mean()}, 4)
    rank = parallel.team().rank
(folder / f"{rank}.json").write_text(json.dumps({k: v.tolist() for k, v in net.state_dict().items()}))
"""


@pytest.mark.usefixtures("compiler")
def test_processes_that_train_together_may_compile(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER, "utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = Path(compiling.__file__).parents[2]
    command = [*torchrun, str(tmp_path / "worker.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    leader, other = (json.loads((tmp_path / f"{rank}.json").read_text("utf-8")) for rank in (0, 1))
    assert leader == other and set(leader) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_the_engine_is_one_graph_with_the_same_gradients() -> None:
    """Captured by torch's tracer whole (`fullgraph`): a part that it could not take would cost every step."""
    torch.manual_seed(0)
    plain = EngineNet().train()
    plain.vector.emotion[2].p = 0.0  # no chance in it
    whole = copy.deepcopy(plain)
    whole.compile(backend="aot_eager", dynamic=False, fullgraph=True)
    crops = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    for net in (plain, whole):
        (out,) = net(crops, 0, rows=ROWS)
        assert len(out.points) == len(out.parsing_logits) == 2
        heads = (out.points, out.heat, out.parsing_logits, out.emotion_logits, out.pose, out.landmark_std)
        sum((part.square().mean() for part in heads), torch.zeros(())).backward()
    for (name, ours), theirs in zip(whole.named_parameters(), plain.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_batch_norm_by_task_is_refused() -> None:
    with pytest.raises(OptionError, match="no fixed shapes"):
        EngineConfig(Path("d"), Path("r"), Path("c"), steps=1, compile=True, task_norm=True)


def test_what_cannot_be_compiled_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> object:
        raise RuntimeError("backend='inductor' raised:\nInvalidCxxCompiler: No working C++ compiler found\n\n")

    monkeypatch.setattr(torch, "compile", fail)
    net = nn.Linear(2, 2)
    with pytest.raises(OptionError, match=r"No working C\+\+ compiler found\. A CPU needs g\+\+ or clang"):
        compiling.compile_network(net, CPU)
    assert net(torch.zeros(1, 2)).shape == (1, 2)  # as it was


def test_a_machine_without_a_compiler_gets_one_line(tmp_path: Path) -> None:
    """Even where an earlier run's kernels lie in torch's cache."""
    script = (
        "import sys, torch\nfrom rtface.errors import OptionError\nfrom rtface.train import compiling\n"
        "try:\n    compiling.compile_network(torch.nn.Linear(2, 2), torch.device('cpu'))\n"
        "except OptionError as error:\n    print(error); sys.exit(2)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("PATH", "CXX")} | {"PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stdout.startswith("--compile: torch.compile fails here: ") and len(done.stdout.splitlines()) == 1
