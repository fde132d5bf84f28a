"""Engines run networks: the protocol, and ONNX Runtime on the CPU."""

from rtface.engine.base import Engine, Preparable, Tensors
from rtface.engine.cpu import CpuEngine
from rtface.engine.ort import OrtEngine

__all__ = ["CpuEngine", "Engine", "OrtEngine", "Preparable", "Tensors"]
