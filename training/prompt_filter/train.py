"""Rebuilds models/prompt from the text data and the contrast grammars: `python -m training.prompt_filter.train`.

Needs one core and 3 GB; about 20 minutes. Seeded: the same data and library versions give the same model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer

from services.core.artifacts import MODELS
from services.prompt_filter.classifier import Classifier, Heads
from services.prompt_filter.encoder import Encoder
from training.manifest import record
from training.prompt_filter import card, data, encoder, heads, metrics

SEED = 7
# Tweets and captions are many and alike; no source may outweigh the prompts.
CAPS = {
    "copro": 16_000,
    "edos": 2_500,
    "davidson": 2_500,
    "coco": 3_000,
    "covid": 1_000,
    "hatemoji": 2_000,
    "vicomtech": 1_500,
    "diffdb": 3_000,
    "long": 2_000,
    "madlibs": 1_500,
    "jigsawbias": 800,
}
FINETUNE_TOKENS = 64
FAIRNESS = 3_000


def main() -> None:
    """Trains, measures, writes the model, its figures and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/text"), help="folder of train.parquet")
    parser.add_argument("--out", type=Path, default=MODELS / "prompt", help="folder to write into")
    parser.add_argument("--keep-encoder", action="store_true", help="only fit the heads anew")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = data.gather(arguments.data, SEED)
    rows["part"] = data.split(rows)
    if not arguments.keep_encoder:
        _train_encoder(rows, arguments.out)
    runtime = Encoder(arguments.out / "encoder.onnx", arguments.out / "tokenizer.json")
    embeddings = embed(runtime, rows["text"].tolist())
    model, scores = _fit(rows, embeddings)
    heads.save(model, arguments.out / "heads.npz")
    figures = metrics.report(rows, scores) | {"fairness": _fairness(rows, arguments.data, Classifier(runtime, model))}
    (arguments.out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "README.md").write_text(card.render(figures), encoding="utf-8")
    if arguments.out == MODELS / "prompt":
        record(*(arguments.out / name for name in ("encoder.onnx", "tokenizer.json", "heads.npz")))


def _fairness(rows: pd.DataFrame, folder: Path, classifier: Classifier) -> dict[str, Any]:
    """Harmless identity sentences that training did not see."""
    sentences = data.madlibs(folder)
    unseen = sentences[~sentences["bad"] & ~sentences["text"].isin(rows["text"])].sample(FAIRNESS, random_state=SEED)
    texts = unseen["text"].tolist()
    return metrics.fairness(texts, np.array([max(classifier.scores(text).values()) for text in texts]))


def _train_encoder(rows: pd.DataFrame, out: Path) -> None:
    """Fine-tunes on the training part, each source capped, and exports."""
    part = rows[rows["part"] == "train"]
    model = encoder.start(part["text"].tolist(), out)
    part = part.sample(frac=1, random_state=SEED)
    number = part.groupby("src").cumcount()
    part = part[number < part["src"].map(CAPS).fillna(len(part))]
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.enable_truncation(FINETUNE_TOKENS)
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(part["text"].tolist())]
    encoder.finetune(model, tokens, data.labels(part), SEED)
    encoder.export(model, out)


def embed(runtime: Encoder, texts: list[str]) -> np.ndarray:
    """float32 (texts, D): the first window of each, by the encoder that the service runs."""
    return np.stack([runtime.embed(runtime.windows(text)[0]) for text in texts])


def _fit(rows: pd.DataFrame, embeddings: np.ndarray) -> tuple[Heads, np.ndarray]:
    """Fits the heads on the training part, their mixture on the calibration part; returns the scores of every row."""
    labels = data.labels(rows)
    train, calibrate = (rows["part"].eq(name).to_numpy() for name in ("train", "calibrate"))
    weights, bias = heads.fit_embedding(embeddings[train], labels[train], SEED)
    ngrams = heads.fit_ngrams(rows["text"][train].tolist(), labels[train])
    by_embedding = embeddings @ weights.T + bias
    by_ngram = np.stack([ngrams.logits(text) for text in rows["text"]])
    mix = heads.fit_mix(by_embedding[calibrate], by_ngram[calibrate], labels[calibrate])
    logits = mix[:, 0] * by_embedding + mix[:, 1] * by_ngram + mix[:, 2]
    return Heads(data.CATEGORIES, weights, bias, ngrams, mix), 1 / (1 + np.exp(-logits))


if __name__ == "__main__":
    main()
