"""Engines run networks: the protocol, and ONNX Runtime on the CPU."""

from rtface.engine.base import Engine, Preparable, Tensors
from rtface.engine.ort import OrtEngine
from rtface.engine.ort_cpu import CpuEngine

__all__ = ["CpuEngine", "Engine", "OrtEngine", "Preparable", "Tensors"]
