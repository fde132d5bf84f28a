"""Whose turn it is, where not all faces can be analysed on every frame."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

from rtface.budget.config import RotationConfig


class FaceRotation:
    """When each face was analysed last, and parsed last. Faces are any hashable things that stay the same."""

    def __init__(self, config: RotationConfig | None = None) -> None:
        self._config = config or RotationConfig()
        self._served: dict[Hashable, float] = {}
        self._parsed: dict[Hashable, int] = {}
        self._parsed_at: dict[Hashable, float] = {}
        self._at, self._gap = float("-inf"), 0.0

    def faces(self, faces: Sequence[Hashable], sizes: Sequence[float], most: int | None, at: float) -> list[int]:
        """Rows of the faces to analyse at `at` seconds: `most` of them (None = all), and those that would starve.

        Those that have waited long come first, the longest first; then the largest. A new face has waited long.
        """
        gap = self._gap = max(at - self._at, 0.0) if self._at > float("-inf") else 0.0
        self._at = at
        most = len(faces) if most is None else most
        waited = [at - self._served.setdefault(face, at - self._config.waited_long_s) for face in faces]

        def rank(row: int) -> tuple[float, float]:
            return (-waited[row] if waited[row] >= self._config.waited_long_s else 0.0, -sizes[row])

        order = sorted(range(len(faces)), key=rank)
        return order[:most] + [row for row in order[most:] if waited[row] + gap > self._config.max_wait_s]

    def parsed(self, faces: Sequence[Hashable], every: int, frame: int) -> list[int]:
        """Rows of the faces to parse on frame number `frame`: each on every `every`-th, not all on the same one.

        Where frames are few, a mask that would be too old by the next one is due as well.
        """

        def starves(face: Hashable) -> bool:
            return self._at - self._parsed_at.get(face, self._at) + self._gap > self._config.max_wait_s

        due = [row for row, face in enumerate(faces) if frame - self._parsed.get(face, -every) >= every]
        due.sort(key=lambda row: self._parsed.get(faces[row], -every))
        first = due[: -(-len(faces) // every)]
        return first + [row for row, face in enumerate(faces) if row not in first and starves(face)]

    def record(self, faces: Collection[Hashable], parsed: Collection[Hashable], at: float, frame: int) -> None:
        """These were analysed, and those parsed."""
        self._served.update(dict.fromkeys(faces, at))
        self._parsed.update(dict.fromkeys(parsed, frame))
        self._parsed_at.update(dict.fromkeys(parsed, at))

    def keep(self, faces: Collection[Hashable]) -> None:
        """Forget all others."""
        alive = set(faces)
        for known in (self._served, self._parsed, self._parsed_at):
            for gone in known.keys() - alive:
                del known[gone]
