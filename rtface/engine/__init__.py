"""Engines run networks: the protocol, and ONNX Runtime on the CPU."""

from rtface.engine.base import Cropping, DeviceFailed, Engine, Preparable, Tensors, prunes
from rtface.engine.ort import OrtEngine, default_threads
from rtface.engine.ort_cpu import CpuEngine

__all__ = [
    "CpuEngine",
    "Cropping",
    "DeviceFailed",
    "Engine",
    "OrtEngine",
    "Preparable",
    "Tensors",
    "default_threads",
    "prunes",
]
