"""TensorRT plans on disk. A plan is native code: it is read only from a folder that is the user's alone.

<cache>/plans/NAME-PRECISION-KEY.plan     the plan
<cache>/plans/NAME-PRECISION-KEY.json     what it is, and the plan's SHA-256; written last
<cache>/plans/NAME-PRECISION-KEY.lock     held while one process builds it
<cache>/plans/build.lock                  held while one process measures kernels
<cache>/plans/*.timings, *.kernels        what TensorRT measured, and what TensorRT-RTX compiled, of one GPU
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtface.errors import EngineError
from rtface.system.files import cache_dir, write_private
from rtface.system.json_text import parse_json
from rtface.system.trusted import UntrustedError, read_trusted

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MOST_FACTS_BYTES = 1_000_000
"""A plan's sidecar has a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan belongs to; another value of any of these is another plan.

    Attributes:
        name: The network.
        fingerprint: Hash of what its ONNX file is made from (`rtface.precision.convert.fingerprint`).
        precision: fp32, fp16 or int8.
        shapes: The profile.
        tensorrt: Module and version.
        capability: The GPU's compute capability, "8.9"; "any" for TensorRT-RTX's, which are for several.
        gpu: The GPU's name and number of processors: TensorRT chooses kernels by measuring them; "any" as above.
        system: Operating system and processor.
    """

    name: str
    fingerprint: str
    precision: str
    shapes: str
    tensorrt: str
    capability: str
    gpu: str
    system: str

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return f"{self.name}-{self.precision}-{_digest(asdict(self))}"


class PlanCache:
    """Plans in a folder.

    Args:
        folder: Where; None = in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "plans"

    def path(self, key: PlanKey) -> Path:
        """Where the plan is, or would be."""
        return self.folder / f"{key.stem}.plan"

    def kernels(self, key: PlanKey, gpu: str) -> Path:
        """Where TensorRT-RTX keeps the kernels that it compiled for a plan on a GPU."""
        return self.folder / f"{key.stem}-{_digest(gpu)}.kernels"

    def timings(self, key: PlanKey) -> Path:
        """Where TensorRT keeps what it measured of a GPU: of all networks and precisions together."""
        return self.folder / f"{_digest(key.tensorrt, key.gpu, key.capability, key.system)}.timings"

    def load(self, key: PlanKey) -> bytes | None:
        """The plan; None where there is none, or one that is not whole.

        Raises:
            EngineError: It lies where others could have put it.
        """
        path = self.path(key)
        try:
            plan = read_trusted(path)
            facts = parse_json(read_trusted(path.with_suffix(".json"), MOST_FACTS_BYTES))
        except UntrustedError as error:
            mend = f"chmod go-w {self.folder} and remove what is not yours, or delete it: rtface builds it again"
            raise EngineError(str(path), f"a plan is native code, and {error}", mend) from error
        except (OSError, ValueError):
            return None
        whole = isinstance(facts, dict) and facts.get("plan_sha256") == hashlib.sha256(plan).hexdigest()
        return plan if whole else None

    def save(self, key: PlanKey, plan: bytes, **facts: Any) -> Path:
        """Keep a plan; the sidecar says what it is and how it was made.

        Raises:
            OutputError: The folder cannot be written.
        """
        path = self.path(key)
        write_private(path, plan)
        table = {**asdict(key), "plan_sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan), **facts}
        write_private(path.with_suffix(".json"), (json.dumps(table, indent=1) + "\n").encode())
        return path

    def set_aside(self, key: PlanKey) -> Path | None:
        """Rename a plan that does not load, for anybody who wants to look; None where there is none."""
        path = self.path(key)
        broken = path.with_suffix(".broken")
        with suppress(OSError):
            path.with_suffix(".json").unlink(missing_ok=True)
            path.replace(broken)
            return broken
        return None

    def listed(self) -> list[dict[str, Any]]:
        """The sidecars of all plans, for the doctor."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError):
                found.append(parse_json(read_trusted(path, MOST_FACTS_BYTES)))
        return [facts for facts in found if isinstance(facts, dict)]

    @contextmanager
    def locked(self, key: PlanKey) -> Iterator[None]:
        """Wait until no other process builds this plan, and keep others from it. The lock goes with the process."""
        with self._held(self.path(key).with_suffix(".lock")):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process builds any plan: two at once would spoil each other's timing of kernels."""
        with self._held(self.folder / "build.lock"):
            yield

    @contextmanager
    def _held(self, path: Path) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
            if sys.platform == "win32":
                while True:
                    with suppress(OSError):  # it gives up after ten seconds
                        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                        break
            else:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file ends the lock


def _digest(*facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
