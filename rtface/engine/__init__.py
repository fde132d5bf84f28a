"""Engines run networks: the protocol, and ONNX Runtime on the CPU."""

from rtface.engine.base import Cropping, DeviceFailed, Engine, Preparable, Tensors, cropper, prunes
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
    "cropper",
    "default_threads",
    "prunes",
]
