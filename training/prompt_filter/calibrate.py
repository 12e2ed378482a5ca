"""Mixes the logits of encoder and n-grams into calibrated probabilities, on texts held out of training."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

# How strongly the mixture is drawn to its prior, in texts; it decides where few speak.
_PRIOR_WEIGHT = 20.0
_PRIOR = np.array([0.4, 0.2, 0.4, 0.2, 0.0])


def fit(encoder: np.ndarray, ngrams: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float32 (C, 5), see `services.prompt_filter.heads`; logits (texts, C + 1), `labels` int8 (texts, C or more).

    Logistic regression (Platt 1999) with slopes of zero or more, so that no sign of a violation ever speaks against
    one. The logit of ANY takes part in every category, so that the highest category of a text ranks as ANY does.
    """
    mixes = []
    for column in range(encoder.shape[1] - 1):
        known = (labels[:, column] >= 0) & (weights[:, column] > 0)
        inputs = np.stack(
            [encoder[known, column], ngrams[known, column], encoder[known, -1], ngrams[known, -1]], axis=1
        )
        mixes.append(_logistic(inputs.astype(float), labels[known, column] == 1, weights[known, column].astype(float)))
    return np.array(mixes, np.float32)


def _logistic(inputs: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    signs = np.where(truth, 1.0, -1.0)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (inputs @ line)
        off = line - _PRIOR
        value = (weights * np.logaddexp(0, -margin)).sum() + _PRIOR_WEIGHT * (off**2).sum()
        slope = inputs.T @ (-weights * signs / (1 + np.exp(margin))) + 2 * _PRIOR_WEIGHT * off
        return float(value), slope

    bounds = [(0, None)] * 4 + [(None, None)]
    return np.asarray(minimize(loss, _PRIOR, jac=True, bounds=bounds, method="L-BFGS-B").x)
