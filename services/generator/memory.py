"""What to do when memory lacks."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's allocator gave nothing; torch's CPU allocator has no class of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def let_go(error: BaseException) -> None:
    """Frees what the failed work holds: the tensors of its frames, and what torch keeps for later."""
    error.__traceback__ = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
