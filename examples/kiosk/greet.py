"""Greets who looks at the screen: the sign says hello while somebody does, and asks for a smile.

python examples/kiosk/greet.py [SOURCE]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import rtface

SAID = {
    "someone": "Good day! Come nearer.",
    "look_start": "Hello! Smile, please.",
    "smile": "What a smile!",
    "nobody": "",
}


def greetings(stream: rtface.Stream) -> Iterator[str]:
    """What to show next."""
    for event in rtface.Audience().events(stream):
        if event.kind in SAID:
            yield SAID[event.kind]


if __name__ == "__main__":
    with rtface.live(sys.argv[1] if len(sys.argv) > 1 else 0, tasks=("pose", "emotion")) as stream:
        for words in greetings(stream):
            print(words or "(nobody is here)", flush=True)
