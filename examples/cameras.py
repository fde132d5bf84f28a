"""Several cameras on one set of networks: python examples/cameras.py door=rtsp://door.local/stream 1 [--frames N]

Says who comes and goes before which camera. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse

import rtface


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--frames", type=int, default=None)
    given = parser.parse_args()
    here: dict[str, int] = {}
    options = rtface.Options(audience=True, tasks=("pose",), budget_ms=66)
    with rtface.live(given.sources, options=options, max_frames=given.frames) as cameras:
        for result in cameras:
            if here.get(result.camera) != len(result):
                here[result.camera] = len(result)
                print(", ".join(f"{name}: {count}" for name, count in sorted(here.items())))
            for event in result.events:
                if event.kind in ("arrived", "left", "source_lost", "source_back"):
                    print(f"{event.camera}: {event.kind} {event.what}")
    for name, one in cameras.summary["cameras"].items():
        print(f"{name}: {one['frames']} frames, {one['late']} late")


if __name__ == "__main__":
    main()
