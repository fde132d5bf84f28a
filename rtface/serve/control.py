"""What a viewer may read and change of the analysis: the budget, the tasks, stricter privacy. No paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rtface.errors import InputError
from rtface.options import PRIVACY, Options
from rtface.serve.hub import Hub

#: Options that name places of this machine.
PRIVATE = ("models_dir", "calibration_dir", "profile")
CHANGEABLE = ("budget_ms", "tasks", "privacy")


class Switchable(Protocol):
    """Cameras that can be switched on and off while they run."""

    @property
    def listed(self) -> tuple[str, ...]:
        """Those that may be, from afar: a file lists them."""

    def enable(self, name: str, on: bool) -> None:
        """Switch one."""


class Control:
    """Reads and changes options while it runs.

    Args:
        options: As it began.
        hub: Whose privacy is made stricter.
        update: Takes new options into the running analysis, by name.
        cameras: Whose cameras may be switched, those that a file lists; None = none may.
    """

    def __init__(
        self,
        options: Options,
        hub: Hub,
        update: Callable[[dict[str, Any]], Options],
        cameras: Switchable | None = None,
    ) -> None:
        self._options, self._hub, self._update, self._cameras = options, hub, update, cameras

    def record(self) -> dict[str, Any]:
        """The options by name, without paths."""
        known = {name: value for name, value in self._options.to_dict().items() if name not in PRIVATE}
        return {**known, "privacy": self._hub.privacy, "changeable": list(CHANGEABLE)}

    def change(self, wanted: Any) -> dict[str, Any]:
        """Take new values.

        Raises:
            InputError: It is no object, or names something that may not be changed.
            OptionError: A value is not what the option takes.
        """
        if not isinstance(wanted, dict) or not wanted:
            raise InputError("options", "expected a JSON object", 'Send {"budget_ms": 33}')
        for name in wanted:
            if name not in CHANGEABLE:
                raise InputError(f"option {name!r}", "may not be changed from here", f"{', '.join(CHANGEABLE)} may")
        if not isinstance(wanted.get("tasks", []), list):
            raise InputError("tasks", "expected a list of names", 'Send {"tasks": ["landmarks", "pose"]}')
        privacy = wanted.get("privacy", self._hub.privacy)
        if privacy not in PRIVACY or PRIVACY.index(privacy) < PRIVACY.index(self._hub.privacy):
            mend = "Start rtface serve with another --privacy"
            raise InputError("privacy", f"may only become stricter than {self._hub.privacy}", mend)
        others = {name: value for name, value in wanted.items() if name != "privacy"}
        if others:
            self._options = self._update(others)
        self._hub.privacy = privacy
        return self.record()

    def may_switch(self, camera: str) -> bool:
        """Whether a camera may be switched on and off from here: the file of `--cameras` lists it."""
        return self._cameras is not None and camera in self._cameras.listed

    def switch(self, camera: str, wanted: Any) -> None:
        """Switch a camera on or off.

        Raises:
            InputError: It is not ``{"enabled": true}`` or false, or this camera may not be switched.
        """
        if not isinstance(wanted, dict) or list(wanted) != ["enabled"] or not isinstance(wanted["enabled"], bool):
            raise InputError("camera", "expected a JSON object", 'Send {"enabled": false}')
        if self._cameras is None or not self.may_switch(camera):
            mend = "List it in the file of rtface serve --cameras"
            raise InputError(camera, "may not be switched from here", mend)
        if wanted["enabled"]:
            self._hub.add(camera)
        self._cameras.enable(camera, wanted["enabled"])
