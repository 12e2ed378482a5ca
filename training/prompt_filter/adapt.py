"""Moves the heads of a model towards new rows and as little as possible elsewhere; encoder and calibration stay.

Maximum a posteriori adaptation of a log-linear model (Chelba and Acero 2004): logistic loss on the new rows, and a
Gaussian prior around the weights in force. Its covariance is not round: what is punished is how much the scores of
harmless texts move. With a round one, rows of violations alone make a filter that flags everything.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from training.prompt_filter.features import Readings

# How many rows the mean squared movement of the harmless texts' logits weighs, the boldest first; the first one is
# taken that flags at most MOST_NEW more of them.
STRENGTHS = (100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
MOST_NEW = 0.002
# Fewer rows say more about who sent them than about a category.
FEWEST = 10
# Share of the mean square of a feature, so that directions which no harmless text takes are not free.
_RIDGE = 2e-4
# A head that counts less than this in its category's calibration cannot teach it anything.
_FLAT = 1e-3


def adapt(
    rows: Readings,
    labels: np.ndarray,
    weights: np.ndarray,
    steady: Readings,
    slopes: np.ndarray,
    bars: np.ndarray,
) -> np.ndarray:
    """How each category's calibrated logit changes, float32 (C, D + 1) on the features; zeros where nothing is learned.

    `labels` and `weights` (N, C) of `rows`, −1 is unknown; `steady` are harmless texts, which must not be flagged:
    reach `bars` (C,), the logits from which a person looks. `slopes` (C,) say how much each head counts.
    """
    covariances = [_covariance(steady.features[:, category]) for category in range(len(bars))]
    known = labels >= 0
    teachable = [
        category
        for category in range(len(bars))
        if known[:, category].sum() >= FEWEST and abs(slopes[category]) > _FLAT
    ]
    before = flagged(steady.scores(), bars)
    for strength in STRENGTHS:
        steps = np.zeros(steady.features.shape[1:], np.float32)
        for category in teachable:
            taught = known[:, category]
            windows = rows.loudest(category)[taught]
            steps[category] = _step(
                rows.features[windows, category],
                rows.logits[windows, category],
                labels[taught, category],
                weights[taught, category],
                strength * covariances[category],
            )
        if flagged(steady.scores(steps), bars) - before <= MOST_NEW:
            return steps
    return np.zeros_like(steps)


def flagged(scores: np.ndarray, bars: np.ndarray) -> float:
    """The share of texts, by their logits (N, C), that reach a bar in any category; 0 of none."""
    return float((scores >= bars).any(axis=1).mean()) if len(scores) else 0.0


def _covariance(features: np.ndarray) -> np.ndarray:
    """float64 (D + 1, D + 1): second moments of features (W, D + 1), and a ridge."""
    moments = features.T.astype(float) @ features / max(1, len(features))
    return np.asarray(moments + _RIDGE * np.trace(moments) * np.eye(len(moments)))


def _step(
    features: np.ndarray, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """The step u that minimises Σ weight · log(1 + exp(∓(logit + features · u))) + ½ u · prior · u."""
    signs = np.where(labels == 1, 1.0, -1.0)

    def loss(step: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (logits + features @ step)
        pull = prior @ step
        wrong = 1 / (1 + np.exp(margins))
        value = weights @ np.logaddexp(0, -margins) + step @ pull / 2
        return float(value), pull - features.T @ (weights * signs * wrong)

    return np.asarray(minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x, np.float32)
