"""Muon for the matrices, AdamW for the rest (Jordan et al., 2024): about twice the progress a step of AdamW alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import _muon

from training.generator.precision import FAST


class MuonAdamW:
    """Steps all parameters of some modules; convolution kernels count as matrices of (out, in·k·k)."""

    def __init__(self, modules: list[nn.Module], muon_rate: float, adam_rate: float) -> None:
        """Rates are those of a full-speed step; `step` scales both."""
        named = [pair for module in modules for pair in module.named_parameters()]
        hidden = [parameter for name, parameter in named if _is_matrix(name, parameter)]
        rest = [parameter for name, parameter in named if not _is_matrix(name, parameter)]
        # torch's Muon takes two dimensions only: flat twins share the kernels' storage.
        self._twins = [(parameter, nn.Parameter(parameter.detach().flatten(1))) for parameter in hidden]
        self._muon = torch.optim.Muon(
            [twin for _, twin in self._twins], lr=muon_rate, weight_decay=0.0, adjust_lr_fn="original"
        )
        self._adam = torch.optim.AdamW(rest, lr=adam_rate, betas=(0.9, 0.98), weight_decay=0.0)
        self._parameters = [parameter for _, parameter in named]
        self._rates = (muon_rate, adam_rate)

    def step(self, scale: float) -> None:
        """One step at `scale` (0 … 1) of the full rates, gradients clipped to norm 1 for AdamW's part, then cleared."""
        for parameter, twin in self._twins:
            twin.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        for optimiser, rate in zip((self._muon, self._adam), self._rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
        nn.utils.clip_grad_norm_(self._adam.param_groups[0]["params"], 1.0)
        self._muon.step()
        self._adam.step()
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from where another was."""
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])


def _orthogonal(grad: Tensor, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float) -> Tensor:
    """torch's Newton–Schulz steps in float32: its bfloat16 takes most of a step where processors cannot multiply it."""
    a, b, c = ns_coefficients
    wide = grad.T if grad.size(0) > grad.size(1) else grad
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if grad.size(0) > grad.size(1) else wide


if not FAST:
    _muon._zeropower_via_newtonschulz = _orthogonal


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Hidden weights; not embeddings, not the first and last layer."""
    outside = ("embedding", "conv_in", "conv_out", "norm", "time_emb")
    return parameter.ndim >= 2 and not any(word in name for word in outside)
