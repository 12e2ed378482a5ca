"""Distils the classifier into the gate that stands before it (see `services.prompt_filter.gate`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from services.prompt_filter.gate import Gate
from services.prompt_filter.ngrams import BUCKETS, WORD, pairs

# The lowest threshold of policies/*.yaml that a category of the classifier meets, and what the gate learns to fear.
REVIEW, DOUBTFUL = 0.25, 0.1
# How often the verdict has to be the classifier's own on texts that the gate was not fitted on; how far below the least
# doubt of a wrong one the threshold stays, since others will be less doubtful still.
AGREEMENT, _MARGIN = 0.999, 4
_STRENGTH = 1.0
_SEEN = 3


def distil(
    texts: Sequence[str], scores: np.ndarray, harmless: np.ndarray, fit: np.ndarray, categories: Sequence[str]
) -> Gate:
    """`scores` (texts, C) of the classifier; bool (texts,): `harmless`, what is labelled so, and `fit`, the texts that
    the weights are fitted on. The threshold is set on the others.
    """
    worst = scores.max(axis=1)
    words = CountVectorizer(analyzer=lambda text: WORD.findall(text.lower()), binary=True)
    single = words.fit_transform(texts)
    model = LogisticRegression(C=_STRENGTH, solver="liblinear")
    model.fit(hstack([single, _pairs(texts)]).tocsr()[fit], worst[fit] >= DOUBTFUL)
    weights = np.round(model.coef_[0] / np.abs(model.coef_).max() * 127).astype(int)
    seen = np.asarray(single[fit & harmless].sum(axis=0))[0] >= _SEEN
    vocabulary = {word: int(weights[at]) for word, at in sorted(words.vocabulary_.items()) if seen[at]}
    return _closed(Gate(vocabulary, weights[-BUCKETS:].astype(np.int8), 0, {}), texts, scores, ~fit, categories)


def _closed(gate: Gate, texts: Sequence[str], scores: np.ndarray, part: np.ndarray, categories: Sequence[str]) -> Gate:
    """The gate with a threshold below all that gets another verdict, and with the mean scores of what it settles."""
    doubts = [gate.doubt(text) if use else None for text, use in zip(texts, part, strict=True)]
    known = np.array([doubt is not None for doubt in doubts])
    doubt = np.array([doubt for doubt in doubts if doubt is not None])
    wrong = doubt[scores[known].max(axis=1) >= REVIEW]
    threshold = int(wrong.min()) - _MARGIN if len(wrong) else int(doubt.max())
    settled = scores[known][doubt <= threshold].mean(axis=0)
    return Gate(gate.words, gate.pairs, threshold, dict(zip(categories, map(float, settled), strict=True)))


def agreement(gate: Gate, texts: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    """Of `texts`, whose scores by the classifier are `scores`: the share settled, and that of the same verdict."""
    settled = np.array([gate.scores(text) is not None for text in texts])
    wrong = settled & (scores.max(axis=1) >= REVIEW)
    return {"texts": len(texts), "settled": float(settled.mean()), "same verdict": 1 - float(wrong.mean())}


def _pairs(texts: Sequence[str]) -> csr_matrix:
    rows = [list(pairs(WORD.findall(text.lower()))) for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    columns = np.concatenate(rows).astype(np.int64)
    return csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(rows), BUCKETS))


def save(gate: Gate, path: Path) -> None:
    """Writes the .npz that `Gate.load` reads."""
    np.savez_compressed(
        path,
        words=np.array(list(gate.words)),
        weights=np.array(list(gate.words.values()), np.int16),
        pairs=gate.pairs,
        threshold=np.array(gate.threshold),
        categories=np.array(list(gate.settled)),
        settled=np.array(list(gate.settled.values()), np.float32),
    )
