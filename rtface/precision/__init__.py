"""Files of other precisions, made from a network's fp32 ONNX file: FP16 and symmetric INT8, as TensorRT reads them.

Needs the package onnx (extra `[calibrate]`), never torch. The converters are ONNX Runtime's own
(`onnxruntime.transformers.float16`, `onnxruntime.quantization`); here is what goes in, and what is left out.
"""
