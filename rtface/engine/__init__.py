"""Engines run networks: the protocol, and ONNX Runtime on the CPU."""

from rtface.engine.base import Engine, Tensors
from rtface.engine.ort import OrtEngine

__all__ = ["Engine", "OrtEngine", "Tensors"]
