"""One way to run an ONNX network on a CPU: one thread, for requests run side by side, and no memory kept in reserve."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """The network at `path`; whatever onnxruntime raises where it cannot be loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # pictures of ever new sizes would make it grow without an end
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
