"""Counts visits and watchers by the hour, and prints each hour as JSON when it is over; one of fewer than five visits
is left out, as its figures would be of people whom somebody there could name.

python examples/kiosk/count.py [SOURCE]     # or, with a database and a report: rtface live -o visits.db
"""

from __future__ import annotations

import json
import sys
import time

import rtface
from rtface.audience.publish import WindowPublisher


def count(stream: rtface.Stream, hours: WindowPublisher) -> None:
    """Print the hours of at least five visits as they end; nobody can be told from them."""
    audience = rtface.Audience(on_visit=hours.add, live=stream.is_live)
    for result in stream:
        audience.observe(result)
        tell(hours, time.time())
    audience.finish()
    tell(hours, float("inf"))


def tell(hours: WindowPublisher, now: float) -> None:
    """Print what is over."""
    for _, record in hours.close(now):
        print(json.dumps({name: record[name] for name in ("start", "span", "visits", "watchers")}), flush=True)


if __name__ == "__main__":
    with rtface.live(sys.argv[1] if len(sys.argv) > 1 else 0, tasks=("pose",)) as stream:
        count(stream, WindowPublisher("1h"))
