from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from training.prompt_filter import calibrate, data, finetune, gate, network
from training.prompt_filter.augment import augment
from training.prompt_filter.finetune import Phase, Texts

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fox", "knife", "red", "lake", "calm"]
WIDTH = 12


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    model = {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "[UNK]"}
    marks = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    parts = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None}
    parts |= {"pre_tokenizer": {"type": "Whitespace"}, "post_processor": marks, "decoder": None, "model": model}
    (tmp_path / "tokenizer.json").write_text(json.dumps(parts))
    return tmp_path / "tokenizer.json"


def small_network(heads: int) -> network.Network:
    torch.manual_seed(0)
    linear = {"weight": torch.randn(WIDTH, WIDTH) / 4, "bias": torch.zeros(WIDTH)}
    names = [f"attention.self.{name}" for name in ("query", "key", "value")]
    names += ["attention.output.dense", "intermediate.dense", "output.dense"]
    norms = ["attention.output.LayerNorm", "output.LayerNorm"]
    weights = {
        f"encoder.layer.{layer}.{name}.{part}": linear[part] if "Norm" not in name else torch.ones(WIDTH)
        for layer in range(network.LAYERS)
        for name in names + norms
        for part in ("weight", "bias")
    }
    for name, rows in (("word", len(WORDS)), ("token_type", 2), ("position", network.MAX_TOKENS)):
        weights[f"embeddings.{name}_embeddings.weight"] = torch.randn(rows, WIDTH)
    weights |= {f"embeddings.LayerNorm.{part}": torch.ones(WIDTH) for part in ("weight", "bias")}
    return network.Network(network.Body(weights, list(range(len(WORDS)))), heads)


def some_texts() -> Texts:
    rows = pd.DataFrame({"text": ["a red knife", "a calm lake", "a fox", "red lake"] * 40, "src": "own"})
    labels = np.tile(np.array([[1, 1], [0, 0], [0, 0], [-1, 0]], np.int8), (40, 1))
    return Texts(rows, labels, (labels >= 0).astype(np.float32), ["a fox"])


def test_training_learns_and_a_finished_phase_is_not_run_again(tokenizer: Path, tmp_path: Path) -> None:
    phase = Phase("first", passes=6, rate=1e-3, caps={})
    model = small_network(2)
    finetune.finetune(model, tokenizer, some_texts(), phase, 1, tmp_path / "first.pt")
    with torch.no_grad():
        knife, fox = (model(torch.tensor([ids]))[0, 0].item() for ids in ([2, 5, 8, 7, 3], [2, 5, 6, 3]))
    assert knife > fox
    again = small_network(2)
    finetune.finetune(again, tokenizer, some_texts(), phase, 1, tmp_path / "first.pt")
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_an_interrupted_run_ends_where_an_undisturbed_one_does(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = Phase("first", passes=2, rate=1e-3, caps={})
    whole = small_network(2)
    finetune.finetune(whole, tokenizer, some_texts(), phase, 1, tmp_path / "whole.pt")
    monkeypatch.setattr(finetune, "SAVE", 3)
    step, calls = finetune._step, 0

    def breaks(*given: object) -> float:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(finetune, "_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        finetune.finetune(small_network(2), tokenizer, some_texts(), phase, 1, tmp_path / "cut.pt")
    monkeypatch.setattr(finetune, "_step", step)
    resumed = small_network(2)
    finetune.finetune(resumed, tokenizer, some_texts(), phase, 1, tmp_path / "cut.pt")
    assert all(
        torch.allclose(one, other, atol=1e-6)
        for one, other in zip(whole.parameters(), resumed.parameters(), strict=True)
    )


def test_a_source_gives_no_more_rows_than_its_cap(tokenizer: Path) -> None:
    words = finetune.Tokenizer.from_file(str(tokenizer))
    batches = finetune._epoch(some_texts(), words, Phase("p", 1, 1e-3, {"own": 7}), random.Random(1))
    assert sum(map(len, batches)) == 7


def test_a_changed_text_keeps_the_words_that_decide() -> None:
    random_ = random.Random(3)
    changed = {augment("a red fox", ["a calm lake"], random_) for _ in range(200)}
    assert len(changed) > 20
    assert all("red fox" in text for text in changed)


def test_the_mixture_gives_the_share_of_violations() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (20_000, 2))
    labels = (generator.random((20_000, 2)) < 1 / (1 + np.exp(-(0.5 * logits + 1)))).astype(np.int8)
    mix = calibrate.fit(logits, np.zeros_like(logits), labels, np.ones_like(logits))
    assert (mix[:, :4] >= 0).all()
    assert mix[0, 0] == pytest.approx(0.5, abs=0.05)
    assert mix[0, 4] == pytest.approx(1.0, abs=0.1)


def test_the_gate_settles_harmless_words_and_leaves_the_doubtful_open() -> None:
    texts = ["a calm lake", "a red fox", "a calm fox by a lake", "a bloody knife", "a knife in a lake"] * 30
    scores = np.array([[0.01], [0.01], [0.01], [0.9], [0.6]] * 30)
    fit = np.arange(150) < 100
    found = gate.distil(texts, scores, scores[:, 0] < 0.5, fit, ["violence"])
    assert found.scores("a calm red fox") == {"violence": pytest.approx(0.01)}
    assert found.scores("a bloody knife") is None
    assert gate.agreement(found, texts, scores)["same verdict"] == 1.0


def test_a_text_of_one_violation_counts_as_none_that_is_far_from_it() -> None:
    row = dict.fromkeys(data.HEADS, -1) | {"sexual": 1, "any": 1, "src": "copro"}
    weights = dict(zip(data.HEADS, data.weights(pd.DataFrame([row]))[0], strict=True))
    assert weights["sexual"] == 1
    assert 0 < weights["self_harm"] < 0.5
    assert weights["shocking"] == 0


def test_the_grammars_that_are_held_out_exist() -> None:
    assert all((data.CONTRAST / f"{name}.yaml").exists() for name in data.UNSEEN_GRAMMARS)


def test_what_belongs_together_lies_in_one_part_and_unseen_sources_apart() -> None:
    rows = pd.DataFrame({"group": [f"g{n // 3}" for n in range(600)], "src": ["copro"] * 599 + ["catqa"]})
    parts = data.split(rows)
    assert parts.iloc[-1] == "unseen"
    assert (parts[:-3].groupby(rows["group"][:-3]).nunique() == 1).all()
    assert set(parts) == {"train", "calibrate", "test", "unseen"}
