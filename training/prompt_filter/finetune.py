"""Fine-tunes the network: masked binary cross-entropy a head, passes over capped sources, checkpoints that resume."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer

from training.prompt_filter.augment import augment
from training.prompt_filter.network import MAX_TOKENS, Network

BATCH = 32
HEAD_RATE = 1e-3
WARM_UP = 0.06
_REPORT, SAVE = 100, 600
_MARKS = 2
# The number of a row, and the tokens of its text as they are this time.
Batch = list[tuple[int, list[int]]]


class Stateful(Protocol):
    """What a checkpoint keeps."""

    def state_dict(self) -> Any:
        """Its state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Takes a state back."""


@dataclass(frozen=True, slots=True)
class Phase:
    """`passes` over the sources; at most `caps[src]` rows each, drawn anew in each pass; a row of `repeats[src]` is
    read so often in a pass, each time changed in another way. `rate` is that of the body, `marks` the network's
    `reads_marks`.
    """

    name: str
    passes: int
    rate: float
    caps: dict[str, int]
    repeats: dict[str, int] = field(default_factory=dict)
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """What is trained on: `rows` (text, src), `labels` int8 and `weights` float32 (rows, heads): a label of −1 counts
    as 0 as far as its weight says. `captions` are harmless.
    """

    rows: pd.DataFrame
    labels: np.ndarray
    weights: np.ndarray
    captions: Sequence[str]


def finetune(network: Network, tokenizer: Path, texts: Texts, phase: Phase, seed: int, checkpoint: Path) -> None:
    """Trains in place, AdamW with linear decay; goes on from `checkpoint` where an interrupted run left one."""
    torch.manual_seed(seed)
    words = Tokenizer.from_file(str(tokenizer))
    words.enable_truncation(MAX_TOKENS)
    groups = [
        {"params": [p for p in network.body.parameters() if p.requires_grad], "lr": phase.rate},
        {"params": [*network.query.parameters(), *network.weight.parameters()], "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    batches = [
        batch
        for number in range(phase.passes)
        for batch in _epoch(texts, words, phase, random.Random(f"{seed}-{phase.name}-{number}"))
    ]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _trapeze(len(batches)))
    parts: dict[str, Stateful] = {"network": network, "optimizer": optimizer, "schedule": schedule}
    done = _resume(parts, checkpoint, phase)
    network.reads_marks = phase.marks
    network.train()
    begin, losses = time.monotonic(), list[float]()
    for step in range(done, len(batches)):
        losses.append(_step(network, batches[step], texts, optimizer))
        schedule.step()
        if (step + 1) % _REPORT == 0:
            left = (time.monotonic() - begin) / (step + 1 - done) * (len(batches) - step - 1) / 60
            mean = float(np.mean(losses[-_REPORT:]))
            print(f"{phase.name} {step + 1}/{len(batches)} loss {mean:.4f}, {left:.0f} min left", flush=True)
        if (step + 1) % SAVE == 0 or step + 1 == len(batches):
            _save(parts, checkpoint, phase, step + 1)
    network.eval()


def _step(network: Network, batch: Batch, texts: Texts, optimizer: torch.optim.Optimizer) -> float:
    """One batch; returns its loss."""
    rows = [index for index, _ in batch]
    ids = torch.tensor([ids for _, ids in batch])
    truth = torch.from_numpy(texts.labels[rows].astype(np.float32)).clamp(min=0)
    weight = torch.from_numpy(texts.weights[rows])
    # A third of the time of float32 where the CPU has bfloat16 arithmetic.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(ids).float()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    loss = (each * weight).sum() / len(batch)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(loss.item())


def _epoch(texts: Texts, words: Tokenizer, phase: Phase, random_: random.Random) -> list[Batch]:
    """The rows of one pass, changed by `augment`, in batches of one length each and in random order."""
    order = list(range(len(texts.rows)))
    random_.shuffle(order)
    sources, taken = texts.rows["src"].tolist(), Counter[str]()
    chosen: list[int] = []
    for index in order:
        source = sources[index]
        taken[source] += 1
        if taken[source] <= phase.caps.get(source, len(order)):
            chosen += [index] * phase.repeats.get(source, 1)
    plain = texts.rows["text"].tolist()
    encoded = words.encode_batch([augment(plain[index], texts.captions, random_) for index in chosen])
    lengths: dict[int, Batch] = defaultdict(list)
    for index, encoding in zip(chosen, encoded, strict=True):
        if len(encoding.ids) > _MARKS:
            lengths[len(encoding.ids)].append((index, encoding.ids))
    batches = [rows[begin : begin + BATCH] for rows in lengths.values() for begin in range(0, len(rows), BATCH)]
    random_.shuffle(batches)
    return batches


def _trapeze(steps: int) -> Callable[[int], float]:
    """Share of the rate at a step: up over WARM_UP of the steps, then down to zero."""
    up = max(1, int(steps * WARM_UP))
    return lambda step: min((step + 1) / up, max(0.0, (steps - step) / max(1, steps - up)))


def _save(parts: dict[str, Stateful], path: Path, phase: Phase, step: int) -> None:
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    part = path.with_suffix(".part")
    torch.save(state | {"phase": phase.name, "step": step, "random": torch.get_rng_state()}, part)
    part.rename(path)


def _resume(parts: dict[str, Stateful], path: Path, phase: Phase) -> int:
    """The step to go on from."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["phase"] != phase.name:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return int(state["step"])
