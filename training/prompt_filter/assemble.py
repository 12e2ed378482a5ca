"""From a fine-tuned network to the files that the service reads, and their figures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from services.core.text_encoder import Encoder
from services.prompt_filter.classifier import EncoderClassifier
from services.prompt_filter.heads import Heads
from services.prompt_filter.ngrams import NgramModel
from training.prompt_filter import calibrate, data, export, fairness, gate, goals, ngrams
from training.prompt_filter.network import Network

FILES = ("encoder.onnx", "tokenizer.json", "heads.npz", "gate.npz")
# What the n-grams and the gate are fitted on: no source outweighs the prompts here either.
_NGRAM_CAP, _GATE_CAP = 20_000, 3_000
_FAIRNESS = 2_000
_SEED = 7
# Whose harmless texts are full of harmless words; those of the grammars use the words of violations.
_PLAIN = (*goals.ORDINARY, "copro", "own-prompts")


def build(network: Network, tokenizer: Path, rows: pd.DataFrame, parts: list[str], out: Path) -> dict[str, Any]:
    """Writes FILES into `out` for a network trained on `parts` of the rows; returns the figures on the others."""
    shutil.copyfile(tokenizer, out / "tokenizer.json")
    export.encoder(network.body, out / "encoder.onnx")
    linear = _ngrams(rows[_capped(rows, parts, _NGRAM_CAP)])
    scored = _capped(rows, parts, _GATE_CAP) | rows["src"].isin(_PLAIN) | ~rows["part"].isin(parts)
    rows = rows[scored].reset_index(drop=True)
    heads = Heads(categories=data.CATEGORIES, **export.heads(network), ngrams=linear, mix=np.empty(0))
    by_encoder = _logits(Encoder(out / "encoder.onnx", out / "tokenizer.json"), heads, rows["text"].tolist())
    by_ngrams = ngrams.logits(linear, rows["text"].tolist())
    tuned = rows["part"].eq("calibrate").to_numpy()
    known = data.labels(rows)[tuned], data.weights(rows)[tuned]
    heads = replace(heads, mix=calibrate.fit(by_encoder[tuned], by_ngrams[tuned], *known))
    _save(heads, out / "heads.npz")
    scores = 1 / (1 + np.exp(-heads.calibrated(by_encoder, by_ngrams)))
    found = _gate(rows, scores, rows["part"].isin(parts).to_numpy(), out / "gate.npz")
    test = rows["part"].isin(["test", "unseen"]).to_numpy()
    rows, scores = rows[test].reset_index(drop=True), scores[test]
    return goals.goals(rows, scores) | {"gate": found, "sources": goals.by_source(rows, scores)}


def _capped(rows: pd.DataFrame, parts: list[str], cap: int) -> np.ndarray:
    """bool (rows,): those of `parts`, at most `cap` of a source."""
    number = rows.sample(frac=1, random_state=_SEED).groupby("src").cumcount().sort_index()
    return (rows["part"].isin(parts) & (number < cap)).to_numpy()


def _ngrams(rows: pd.DataFrame) -> NgramModel:
    return ngrams.fit(rows["text"].tolist(), data.labels(rows), data.weights(rows))


def _logits(encoder: Encoder, heads: Heads, texts: list[str]) -> np.ndarray:
    """float32 (texts, H): the first window of each, by the encoder that the service runs."""
    found = []
    for number, text in enumerate(texts):
        found.append(heads.logits(encoder.states(encoder.windows(text)[0])))
        if number % 20_000 == 0:
            print(f"encoded {number}/{len(texts)}", flush=True)
    return np.array(found, np.float32)


def _gate(rows: pd.DataFrame, scores: np.ndarray, fit: np.ndarray, path: Path) -> dict[str, Any]:
    """Writes the gate; returns its agreement with the classifier on the test part. Too little stops the run."""
    test = rows["part"].isin(["test", "unseen"]).to_numpy() & ~fit
    harmless = (data.labels(rows)[:, -1] == 0) & rows["src"].isin(_PLAIN).to_numpy()
    texts = rows["text"][~test].tolist()
    model = gate.distil(texts, scores[~test], harmless[~test], fit[~test], data.CATEGORIES)
    gate.save(model, path)
    kinds = {
        "all": test,
        "ordinary prompts": test & rows["src"].isin(goals.ORDINARY).to_numpy(),
        "adversarial and contrast": test & rows["src"].isin(["nib", "nibrw", "contrast", "own-prompts"]).to_numpy(),
    }
    found = {kind: gate.agreement(model, rows["text"][part].tolist(), scores[part]) for kind, part in kinds.items()}
    if found["all"]["same verdict"] < gate.AGREEMENT:
        raise SystemExit(f"the gate changes too many verdicts: {found}")
    return found


def identities(rows: pd.DataFrame, folder: Path, out: Path) -> dict[str, Any]:
    """False positives by identity term of the classifier in `out`, on sentences that training did not see."""
    classifier = EncoderClassifier(Encoder(out / "encoder.onnx", out / "tokenizer.json"), Heads.load(out / "heads.npz"))
    madlibs = fairness.madlib_sentences(folder)
    sets = {
        "our own templates, which nothing is trained on": fairness.sentences(),
        "madlibs, of templates that training knows": madlibs[~madlibs["text"].isin(set(rows["text"]))],
    }
    found = {}
    for name, sentences in sets.items():
        drawn = sentences.sample(_FAIRNESS, random_state=_SEED, ignore_index=True)
        worst = np.array([max(classifier.read(text).scores.values()) for text in drawn["text"]])
        found[name] = fairness.report(drawn, worst, {"0.5": goals.REVIEW})
    return found


def _save(heads: Heads, path: Path) -> None:
    """Writes the .npz that `Heads.load` reads."""
    np.savez_compressed(
        path,
        categories=np.array(heads.categories),
        query=heads.query,
        weight=heads.weight,
        bias=heads.bias,
        ngram_weights=heads.ngrams.weights,
        ngram_scales=heads.ngrams.scales,
        ngram_bias=heads.ngrams.bias,
        mix=heads.mix,
    )
