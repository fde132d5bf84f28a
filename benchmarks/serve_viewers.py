"""What viewers of `rtface serve` cost the analysis: age of results with four of them and with none, in turn.

    python benchmarks/serve_viewers.py --viewers 4 --rounds 6 --seconds 10

Viewers are plain WebSocket clients in another process that ask for ten pictures a second each. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np

from rtface.options import Options
from rtface.serve.server import ServeOptions, Serving

FPS = 10.0


async def view(port: int, count: int) -> None:
    """Be `count` viewers until killed."""
    import websockets

    async def one() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:
            while True:
                began = time.monotonic()
                await socket.send('{"next": true}')
                if json.loads(await socket.recv()).get("picture"):
                    await socket.recv()
                await asyncio.sleep(max(0.0, 1.0 / FPS - (time.monotonic() - began)))

    await asyncio.gather(*(one() for _ in range(count)))


def ages(serving: Serving, seconds: float) -> list[float]:
    """Ages of the results of so many seconds, ms."""
    camera = next(iter(serving.hub.cameras.values()))
    seen, number, end = list[float](), camera.sequence, time.monotonic() + seconds
    while time.monotonic() < end:
        now, result = camera.newest
        if now != number and result is not None:
            number = now
            seen.append(result.timing.age_ms)
        time.sleep(0.004)
    return seen


def main() -> None:
    """Serve the demo, and look at it in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--view", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.view:
        asyncio.run(view(arguments.view, arguments.viewers))
        return
    rows: dict[str, list[float]] = {"none": [], "viewers": []}
    with Serving(
        ["demo"], Options(loop=True, audience=True, threads=arguments.threads), ServeOptions(port=0)
    ) as serving:
        while not serving.hub.ready:
            time.sleep(0.1)
        ages(serving, 3.0)  # warm
        command: list[Any] = [sys.executable, __file__, "--view", serving.port, "--viewers", arguments.viewers]
        for _ in range(arguments.rounds):
            rows["none"] += ages(serving, arguments.seconds)
            with subprocess.Popen([str(word) for word in command]) as viewers:
                time.sleep(1.5)
                rows["viewers"] += ages(serving, arguments.seconds)
                viewers.kill()
    record = {name: {f"p{p}": round(float(np.percentile(row, p)), 1) for p in (50, 95)} for name, row in rows.items()}
    for name, row in record.items():
        print(f"{name:<8} {len(rows[name]):>6} results, age p50 {row['p50']} ms, p95 {row['p95']} ms")
    print(json.dumps({"benchmark": "serve_viewers", "viewers": arguments.viewers, **record}))


if __name__ == "__main__":
    main()
