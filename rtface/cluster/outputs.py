"""Outputs of a cluster's cameras, on the machine that gathers their results: of all together, and of each by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rtface.cameras.cameras import check_shared
from rtface.errors import OutputError
from rtface.outputs.fanout import Fanout
from rtface.outputs.open import choose, for_camera, is_for_each_camera
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.summary import RunStats
from rtface.stream import Output
from rtface.system.clock import SystemClock
from rtface.types import FrameResult

Camera = tuple[Fanout, RunStats]


class HeadOutputs:
    """The outputs of all cameras, and those with ``{camera}`` in their name, once for each.

    Args:
        outputs: Named, or made.
        overwrite: Whether those that are there may be replaced.
        privacy: How pictures may leave the process (`Options.privacy`).
        info_of: The run, for an output of these cameras.
    """

    def __init__(
        self,
        outputs: Iterable[Output],
        *,
        overwrite: bool,
        privacy: str,
        info_of: Callable[[Sequence[str]], RunInfo],
    ) -> None:
        outputs = tuple(outputs)
        self._own = tuple(str(one) for one in outputs if not isinstance(one, Sink) and is_for_each_camera(one))
        self._shared = tuple(one for one in outputs if isinstance(one, Sink) or not is_for_each_camera(one))
        self._overwrite, self._privacy, self._info_of = overwrite, privacy, info_of
        self._sessions: Counter[str] = Counter()
        self._each: dict[str, Camera] = {}
        self._all: Fanout | None = None

    def open(self, cameras: Sequence[str]) -> None:
        """Open what is known by now.

        Raises:
            OutputError: One cannot be opened, or needs pictures, or takes one camera only.
        """
        shared = _without_pictures(choose(self._shared, source="cameras", overwrite=self._overwrite))
        check_shared(shared)
        try:
            for camera in cameras:
                self._open(camera)
            self._all = Fanout(shared, self._info_of(cameras), live=True, privacy=self._privacy, many_cameras=True)
        except BaseException:
            for camera in list(self._each):
                self.close(camera)
            raise

    def _open(self, camera: str) -> None:
        if not self._own or camera in self._each:
            return
        self._sessions[camera] += 1
        names = [for_camera(one, camera, self._sessions[camera]) for one in self._own]
        sinks = _without_pictures(choose(names, source=camera, overwrite=self._overwrite))
        stats = RunStats(SystemClock())
        stats.start()
        self._each[camera] = Fanout(sinks, self._info_of([camera]), live=True, privacy=self._privacy), stats

    def put_own(self, result: FrameResult) -> None:
        """To the outputs of its camera.

        Raises:
            OutputError: One failed.
        """
        self._open(result.camera)
        if result.camera in self._each:
            fanout, stats = self._each[result.camera]
            stats.add(result)
            fanout.put(result)

    def put(self, result: FrameResult) -> None:
        """To the outputs of all.

        Raises:
            OutputError: One failed.
        """
        assert self._all is not None
        self._all.put(result)

    def idle(self) -> None:
        """No result has come for a while."""
        assert self._all is not None
        self._all.idle()
        for fanout, _ in list(self._each.values()):
            fanout.idle()

    @property
    def done(self) -> bool:
        """Whether an output of all wants no more: the run ends."""
        return self._all is not None and self._all.done

    def close(self, camera: str, error: BaseException | None = None) -> None:
        """A camera is no more: its outputs become whole.

        Raises:
            OutputError: One could not be made whole.
        """
        if camera in self._each:
            fanout, stats = self._each.pop(camera)
            stats.end(error)
            fanout.finish(stats.record(0))

    def finish(self, summary: dict[str, Any], error: BaseException | None = None) -> None:
        """The end of the run.

        Raises:
            OutputError: One could not be made whole; the others are.
        """
        failed: OutputError | None = None
        for camera in list(self._each):
            try:
                self.close(camera, error)
            except OutputError as met:
                failed = failed or met
        if self._all is not None:
            self._all.finish(summary)
        if failed is not None:
            raise failed


def _without_pictures(sinks: Sequence[Sink]) -> Sequence[Sink]:
    """
    Raises:
        OutputError: One needs the cameras' pictures, which stay on their nodes.
    """
    for sink in sinks:
        if sink.picture == "private":
            mend = "rtface live or run beside the camera writes pictures; the page of rtface serve --ray shows them"
            raise OutputError(sink.name, "needs pictures, and those of a cluster's cameras stay on their nodes", mend)
    return sinks
