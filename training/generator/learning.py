"""One network's way down its error."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from training.generator.optimiser import MuonAdamW

EMA = 0.998
_TELL = 50
Network = TypeVar("Network", bound=nn.Module)


def learn(
    name: str,
    live: Network,
    learning: Sequence[nn.Module],
    error: Callable[[], Tensor],
    steps: int,
    rate: float,
) -> Network:
    """Steps `learning` down the error; the mean of `live`'s weights over the last steps, in evaluation mode.

    `rate` is Muon's; it falls over the second half.
    """
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW(list(learning), muon_rate=rate, adam_rate=1.5e-3)
    begun, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        loss = error()
        loss.backward()
        optimiser.step(min(1.0, step / 50) * max(0.02, min(1.0, 2 * (1 - step / steps))))
        follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        total += loss.item()
        if step % _TELL == 0:
            print(f"{name}: step {step} error {total / _TELL:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
    return mean


@torch.no_grad()
def follow(mean: nn.Module, live: nn.Module, decay: float) -> None:
    """Moves the mean's weights towards the live ones."""
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)
