"""bfloat16 where the processor multiplies matrices of it: two to three times as many steps a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

_INFO = Path("/proc/cpuinfo")
_FLAGS = _INFO.read_text(encoding="utf-8").split() if _INFO.exists() else []
FAST = "amx_bf16" in _FLAGS or "avx512_bf16" in _FLAGS


@contextmanager
def fast() -> Iterator[None]:
    """Forward passes in bfloat16 where that is faster; weights, losses and optimisers stay float32.

    Attention goes by plain products: backwards, the fused kernel is slow in bfloat16.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16, enabled=FAST):
        yield
