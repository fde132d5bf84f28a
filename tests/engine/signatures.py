"""Whether NVIDIA's modules have what the fakes have, with the same arguments.

The adapter is tested against the fakes, so what they have is what it uses.

`python -m tests.engine.signatures MODULE` prints a line for each difference; ends with 1 where there is one.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from tests.engine import fake_trt as fake

ENUMS = (
    "TensorIOMode",
    "BuilderFlag",
    "NetworkDefinitionCreationFlag",
    "MemoryPoolType",
    "PreviewFeature",
    "ExecutionContextAllocationStrategy",
    "CudaGraphStrategy",
    "ComputeCapability",
    "DynamicShapesKernelSpecializationStrategy",
)

ATTRIBUTES = (
    ("IBuilderConfig", "progress_monitor"),
    ("ICudaEngine", "num_io_tensors"),
    ("ICudaEngine", "num_optimization_profiles"),
    ("OnnxParser", "num_errors"),
)

OF_RTX = (
    ("IRuntimeConfig", "cuda_graph_strategy"),
    ("IRuntimeConfig", "dynamic_shapes_kernel_specialization_strategy"),
    ("IBuilderConfig", "num_compute_capabilities"),
)


def surface(api: fake.FakeTrt) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Class of TensorRT, name and signature of every call that the fakes know."""
    engine = api.Engine(api.cuda, 8)
    builder = api.Builder(None)
    parts: dict[str, Any] = {
        "Runtime": api.Runtime(None),
        "ICudaEngine": engine,
        "IExecutionContext": fake.Context(engine),
        "Builder": builder,
        "IBuilderConfig": builder.create_builder_config(),
        "IOptimizationProfile": builder.create_optimization_profile(),
        "OnnxParser": api.OnnxParser(None, None),
    }
    if isinstance(engine, fake.RtxEngine):
        parts |= {"IRuntimeConfig": fake.RuntimeConfig(), "IRuntimeCache": fake.KernelCache()}
    for name, part in parts.items():
        for attribute in dir(part):
            call = getattr(part, attribute)
            if not attribute.startswith("_") and inspect.isroutine(call):
                yield name, attribute, call


def overloads(call: Any, name: str) -> list[list[str]]:
    """Names of the arguments, of each way that a pybind11 method can be called."""
    found = re.findall(rf"(?:^|\d\. ){name}\(self[^,)]*(.*?)\) -> ", call.__doc__ or "", re.MULTILINE)
    return [re.findall(r"(?:^|, )(\w+):", re.sub(r"\[[^]]*\]", "", arguments)) for arguments in found]


def differences(api: Any, ours: fake.FakeTrt) -> list[str]:
    """What the real module lacks or calls otherwise, a line each."""
    wrong = []
    for kind, name, call in surface(ours):
        real = getattr(getattr(api, kind, None), name, None)
        given = list(inspect.signature(call).parameters)
        if real is None:
            wrong.append(f"{kind}.{name} is missing")
        elif given not in (ways := overloads(real, name)):
            wrong.append(f"{kind}.{name} takes {ways}, not {given}")
    wrong += [
        f"{kind}.{member} is missing"
        for kind in ENUMS
        for member in getattr(getattr(ours, kind, None), "__members__", ())
        if member not in fake.LATER and not hasattr(getattr(api, kind), member)
    ]
    attributes = ATTRIBUTES + (OF_RTX if isinstance(ours, fake.FakeRtx) else ())
    wrong += [f"{kind}.{name} is missing" for kind, name in attributes if not hasattr(getattr(api, kind), name)]
    wrong += [f"{name} is missing" for name in ("nptype", "Logger", "IProgressMonitor") if not hasattr(api, name)]
    return wrong + nothing_to_give(api)


def nothing_to_give(api: Any) -> list[str]:
    """Whether a factory raises TypeError where it cannot make anything, as the fakes do: there is no driver here."""
    try:
        if api.Runtime(api.Logger(api.Logger.ERROR)) is None:
            return ["Runtime() answers None, not TypeError"]
    except TypeError as error:
        if "nullptr" not in str(error):
            return [f"Runtime() says {error}"]
    return []


def main(module: str) -> int:
    cuda = fake.FakeCuda()
    api = import_module(module)
    found = differences(api, (fake.FakeRtx if "rtx" in module else fake.FakeTrt)(cuda))
    print("\n".join([f"{module} {api.__version__}", *found]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
