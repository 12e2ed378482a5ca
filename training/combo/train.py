"""Trains what tells an edit's intent from its words: `python -m training.combo.train`.

MiniLM with an attention head a concept, fine-tuned on the hand-written texts in `prompts/` (a file a concept), alone
and joined with harmless ones. One text in ten is held out; the report is of these.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from services.core.artifacts import MODELS
from training.manifest import record
from training.prompt_filter import export
from training.prompt_filter.network import MAX_TOKENS, Network, start

PROMPTS = Path(__file__).parent / "prompts"
HARMLESS = "harmless_"
BATCH = 32
BODY_RATE, HEAD_RATE = 1e-4, 2e-3
SMOOTHING = 0.05
JOINED = 0.25  # of the texts stand beside a harmless one
HELD_OUT = 10
_BEFORE = (
    "please ",
    "pls ",
    "can you ",
    "could you ",
    "edit this: ",
    "I want ",
    "make it so that ",
    "I'd like ",
    "now ",
)
_AFTER = (" please", " pls", " thanks", ", thank you", "!", ".", " in this photo", " in the picture", "?")
_BETWEEN = (" and ", ", ", ". ", ", and also ", "; ", " plus ", ". Also, ")

Text = tuple[str, int]


def main() -> None:
    """Reads the arguments, trains, saves, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / "edits", help="where the model goes")
    parser.add_argument("--passes", type=int, default=8, help="over all texts")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    chance = random.Random(arguments.seed)
    labels, texts = read_texts()
    chance.shuffle(texts)
    cut = len(texts) // HELD_OUT
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = arguments.out / "tokenizer.json"
    network = start(tokenizer, len(labels))
    train(network, tokenizer, labels, texts[cut:], arguments.passes, chance)
    temperature = report(network, tokenizer, labels, texts[:cut])
    save(network, labels, temperature, arguments.out)


def read_texts() -> tuple[tuple[str, ...], list[Text]]:
    """The concepts in order of their names, and all texts with the index of theirs."""
    files = sorted(PROMPTS.glob("*.txt"))
    texts = [
        (line, index)
        for index, file in enumerate(files)
        for line in dict.fromkeys(file.read_text(encoding="utf-8").splitlines())
        if line
    ]
    return tuple(file.stem for file in files), texts


def train(
    network: Network, tokenizer: Path, labels: tuple[str, ...], texts: list[Text], passes: int, chance: random.Random
) -> None:
    """Fine-tunes in place: AdamW, the rates up for a tenth of the steps and down to nothing."""
    harmless = [text for text, label in texts if labels[label].startswith(HARMLESS)]
    groups = [
        {"params": [weight for weight in network.body.parameters() if weight.requires_grad], "lr": BODY_RATE},
        {"params": [*network.query.parameters(), *network.weight.parameters()], "lr": HEAD_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    batches = [batch for _ in range(passes) for batch in _batches(tokenizer, _changed(texts, harmless, chance), chance)]
    steps = len(batches)
    scale = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(10 * (step + 1) / steps, (steps - step) / steps / 0.9)
    )
    network.train()
    total = 0.0
    for step, (ids, truth) in enumerate(batches, 1):
        loss = functional.cross_entropy(network(ids), truth, label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        scale.step()
        total += loss.item()
        if step % 50 == 0:
            print(f"step {step} of {steps}, loss {total / 50:.3f}", flush=True)
            total = 0.0
    network.eval()


def _changed(texts: list[Text], harmless: list[str], chance: random.Random) -> list[Text]:
    """Each text once, said a little otherwise, some beside a harmless one."""
    changed = []
    for text, label in texts:
        said = text
        if chance.random() < JOINED:
            pair = [said, chance.choice(harmless)]
            chance.shuffle(pair)
            said = chance.choice(_BETWEEN).join(pair)
        if chance.random() < 0.25:
            said = chance.choice(_BEFORE) + said
        if chance.random() < 0.25:
            said = said.rstrip(".!?") + chance.choice(_AFTER)
        changed.append((said.lower() if chance.random() < 0.3 else said, label))
    return changed


def _batches(tokenizer: Path, texts: list[Text], chance: random.Random) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids (B, T) of texts of one length, as the body knows no mask, and labels (B,)."""
    words = Tokenizer.from_file(str(tokenizer))
    words.enable_truncation(MAX_TOKENS)
    lengths: dict[int, list[tuple[list[int], int]]] = defaultdict(list)
    for encoding, (_text, label) in zip(words.encode_batch([text for text, _ in texts]), texts, strict=True):
        lengths[len(encoding.ids)].append((encoding.ids, label))
    parts = [rows[at : at + BATCH] for rows in lengths.values() for at in range(0, len(rows), BATCH)]
    chance.shuffle(parts)
    for rows in parts:
        yield torch.tensor([ids for ids, _ in rows]), torch.tensor([label for _, label in rows])


@torch.no_grad()
def report(network: Network, tokenizer: Path, labels: tuple[str, ...], texts: list[Text]) -> float:
    """Prints what is told of held-out texts; returns the temperature that makes their probabilities true."""
    told = [(network(ids), truth) for ids, truth in _batches(tokenizer, texts, random.Random(1))]
    logits, truth = torch.cat([each for each, _ in told]), torch.cat([each for _, each in told])
    temperatures = np.linspace(0.4, 2.5, 43)
    temperature = float(min(temperatures, key=lambda t: functional.cross_entropy(logits / t, truth).item()))
    scores = (logits / temperature).softmax(dim=1)
    harmful = torch.tensor([not label.startswith(HARMLESS) for label in labels])
    alters = scores[:, harmful].sum(dim=1)
    right = scores.argmax(dim=1) == truth
    print(f"held out: {len(truth)} texts, {right.float().mean():.1%} told, temperature {temperature:.2f}")
    for least in (0.3, 0.5, 0.7):
        found, wrong = (alters[harmful[truth] == kind].ge(least).float().mean() for kind in (True, False))
        print(f"  from {least}: {found:.1%} of the harmful found, {wrong:.1%} of the harmless called so")
    for index, label in enumerate(labels):
        of = truth == index
        print(
            f"  {label:16} {right[of].float().mean():.0%} told, {alters[of].ge(0.5).float().mean():.0%} called harmful"
        )
    return temperature


def save(network: Network, labels: tuple[str, ...], temperature: float, out: Path) -> None:
    """Writes `encoder.onnx` and `heads.npz`, and their digests where they ship with the house."""
    export.encoder(network.body, out / "encoder.onnx")
    heads = {name: part if name == "query" else part / temperature for name, part in export.heads(network).items()}
    np.savez(out / "heads.npz", labels=np.array(labels), **heads)
    if out.resolve().is_relative_to(MODELS):
        record(*(path for path in out.iterdir() if path.suffix != ".md"))


if __name__ == "__main__":
    main()
