"""Fits the n-gram model: one logistic regression a head on hashed n-grams, weights rounded to int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from services.prompt_filter.ngrams import BUCKETS, NgramModel, buckets

STRENGTH = 8.0


def fit(texts: Sequence[str], labels: np.ndarray, weights: np.ndarray) -> NgramModel:
    """`labels` int8 (texts, heads), −1 counts as 0 as far as `weights` float32 (texts, heads) say."""
    inputs = matrix(texts)
    heads = labels.shape[1]
    table, scales, bias = np.zeros((BUCKETS, heads), np.int8), np.zeros(heads, np.float32), np.zeros(heads, np.float32)
    for head in range(heads):
        known = weights[:, head] > 0
        model = LogisticRegression(C=STRENGTH, solver="liblinear", tol=1e-3)
        model.fit(inputs[known], labels[known, head] == 1, sample_weight=weights[known, head])
        scales[head] = np.abs(model.coef_).max() / 127
        table[:, head] = np.round(model.coef_[0] / scales[head])
        bias[head] = model.intercept_[0]
        print(f"n-grams: head {head + 1} of {heads}", flush=True)
    return NgramModel(table, scales, bias)


def matrix(texts: Sequence[str]) -> csr_matrix:
    """float32 (texts, BUCKETS): presence, each row of length one."""
    rows = [list(buckets(text)) for text in texts]
    lengths = np.array([len(row) for row in rows])
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    ends = np.concatenate([[0], lengths.cumsum()])
    return csr_matrix((values, np.concatenate(rows), ends), shape=(len(texts), BUCKETS))


def logits(model: NgramModel, texts: Sequence[str]) -> np.ndarray:
    """float32 (texts, heads)."""
    return model.bias + matrix(texts) @ (model.weights * model.scales).astype(np.float32)
