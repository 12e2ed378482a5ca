"""Moves the heads of a model towards new rows and as little as possible elsewhere; encoder and calibration stay.

Maximum a posteriori adaptation of a log-linear model (Chelba and Acero 2004): logistic loss on the new rows, and a
Gaussian prior around the weights in force. Its covariance is not round: what is punished is how much the scores of
known texts move. With a round one, rows of violations alone make a filter that flags everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from training.prompt_filter.features import Readings

# How many rows the mean squared movement of the logits of known texts weighs, the boldest first. Each category takes
# the first one that flags at most MOST_NEW more of the harmless ones and loses at most MOST_LOST of its violations.
STRENGTHS = (100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
MOST_NEW, MOST_LOST = 0.002, 0.03
# Fewer rows say more about who sent them than about a category.
FEWEST = 10
# Share of the mean square of a feature, so that directions which no known text takes are not free.
_RIDGE = 2e-4
# A head that counts less than this in its category's calibration cannot teach it anything.
_FLAT = 1e-3


@dataclass(frozen=True, slots=True)
class Known:
    """Texts that are to score as before: `labels` int8 (N, C), 1, 0 or −1."""

    readings: Readings
    labels: np.ndarray


def adapt(
    rows: Readings, labels: np.ndarray, weights: np.ndarray, known: Known, slopes: np.ndarray, bars: np.ndarray
) -> np.ndarray:
    """How each category's calibrated logit changes, float32 (C, D + 1) on the features; zeros where nothing is learned.

    `labels` and `weights` (N, C) of `rows`, −1 is unknown. `slopes` (C,) say how much each head counts; a text is
    flagged that reaches `bars` (C,), the logits from which a person looks.
    """
    steps = np.zeros(known.readings.features.shape[1:], np.float32)
    for category in range(len(bars)):
        taught = labels[:, category] >= 0
        if taught.sum() < FEWEST or abs(slopes[category]) <= _FLAT:
            continue
        windows = rows.loudest(category)[taught]
        lesson = (
            rows.features[windows, category],
            rows.logits[windows, category],
            labels[taught, category],
            weights[taught, category],
        )
        covariance = _covariance(known, category)
        for strength in STRENGTHS:
            step = _step(*lesson, strength * covariance)
            if _harmless(known, category, step, float(bars[category])):
                steps[category] = step
                break
    return steps


def _harmless(known: Known, category: int, step: np.ndarray, bar: float) -> bool:
    """Whether the known texts are flagged, and not flagged, as before."""
    readings = known.readings
    before = readings.scores()[:, category] >= bar
    steps = np.zeros(readings.features.shape[1:], np.float32)
    steps[category] = step
    gained = (readings.scores(steps)[:, category] >= bar).astype(int) - before
    good, bad = (known.labels == 0).all(axis=1), known.labels[:, category] == 1
    return bool(gained[good].sum() <= MOST_NEW * good.sum() and -gained[bad].sum() <= MOST_LOST * bad.sum())


def _covariance(known: Known, category: int) -> np.ndarray:
    """float64 (D + 1, D + 1): second moments of the features, harmless texts and violations alike, and a ridge."""
    bad = known.labels[known.readings.text, category] == 1
    features = known.readings.features[:, category].astype(float)
    halves = [part.T @ part / len(part) for part in (features[bad], features[~bad]) if len(part)]
    moments = np.mean(halves, axis=0)
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
