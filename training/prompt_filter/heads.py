"""Fits what stands on the encoder: a logistic head a category, the n-gram model, and their calibrated mixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from services.prompt_filter.classifier import Heads
from services.prompt_filter.ngrams import BUCKETS, NgramModel, buckets

EPOCHS, BATCH, RATE, DECAY = 8, 256, 1e-3, 3e-3
NGRAM_C = 8.0
_PRIOR_WEIGHT = 0.5
# Held-out texts hold far more harmless ones a category than a person would send who sends a doubtful one at all: scores
# are calibrated for a stream in which the odds of a violation are three times theirs.
ODDS = 3.0


def fit_embedding(embeddings: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masked logistic regression of all categories at once; returns weights (C, D) and bias (C,) for raw embeddings."""
    torch.manual_seed(seed)
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
    inputs = torch.from_numpy((embeddings - mean) / deviation)
    truth = torch.from_numpy(labels.astype(np.float32))
    head = torch.nn.Linear(inputs.shape[1], labels.shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            known = truth[rows] >= 0
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(inputs[rows])[known], truth[rows][known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    weights = head.weight.detach().numpy() / deviation
    return weights, head.bias.detach().numpy() - weights @ mean


def fit_ngrams(texts: list[str], labels: np.ndarray) -> NgramModel:
    """One logistic regression a category on the hashed n-grams, weights rounded to int8."""
    matrix = ngram_matrix(texts)
    weights = np.zeros((BUCKETS, labels.shape[1]), np.int8)
    scales, bias = np.zeros(labels.shape[1], np.float32), np.zeros(labels.shape[1], np.float32)
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        model = LogisticRegression(C=NGRAM_C, solver="liblinear").fit(matrix[known], labels[known, column])
        scales[column] = np.abs(model.coef_).max() / 127
        weights[:, column] = np.round(model.coef_[0] / scales[column])
        bias[column] = model.intercept_[0]
    return NgramModel(weights, scales, bias)


def ngram_matrix(texts: list[str]) -> csr_matrix:
    """float32 (texts, BUCKETS): presence, each row of length one."""
    rows = [list(buckets(text)) for text in texts]
    lengths = np.array([len(row) for row in rows])
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    ends = np.concatenate([[0], lengths.cumsum()])
    return csr_matrix((values, np.concatenate(rows), ends), shape=(len(texts), BUCKETS))


def fit_mix(embedding: np.ndarray, ngram: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Platt scaling of each logit (texts, C), of their mean again; returns float32 (C, 3).

    Even shares on purpose: on texts like those of training the n-grams look better than they are on others.
    """
    mixes = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth = labels[known, column] == 1
        (slope_a, offset_a), (slope_b, offset_b) = (
            _platt(logits[known, column], truth) for logits in (embedding, ngram)
        )
        mean = (slope_a * embedding[known, column] + offset_a + slope_b * ngram[known, column] + offset_b) / 2
        slope, offset = _platt(mean, truth)
        offset += np.log(ODDS)
        mixes.append([slope * slope_a / 2, slope * slope_b / 2, slope * (offset_a + offset_b) / 2 + offset])
    return np.array(mixes, np.float32)


def _platt(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Slope ≥ 0 and offset of the logistic fit, drawn a little towards (1, 0) where few texts speak."""
    signs = np.where(truth, 1.0, -1.0)

    def loss(line: np.ndarray) -> float:
        fit = np.logaddexp(0, -signs * (line[0] * logits + line[1])).sum()
        return float(fit + _PRIOR_WEIGHT * ((line[0] - 1) ** 2 + line[1] ** 2))

    found = minimize(loss, np.array([1.0, 0.0]), bounds=[(0, None), (None, None)], method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])


def save(heads: Heads, path: Path) -> None:
    """Writes the .npz that `Heads.load` reads."""
    np.savez_compressed(
        path,
        categories=np.array(heads.categories),
        weights=heads.weights.astype(np.float16),
        bias=heads.bias.astype(np.float32),
        ngram_weights=heads.ngrams.weights,
        ngram_scales=heads.ngrams.scales,
        ngram_bias=heads.ngrams.bias,
        mix=heads.mix,
    )
