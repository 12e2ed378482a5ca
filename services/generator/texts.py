"""Words to tokens, with what did not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text of exactly the limit's length: `ids` and `mask` (1, limit) int64; `cut` are the words beyond it."""

    ids: Tensor
    mask: Tensor
    cut: tuple[str, ...]


def tokenize(tokenizer: Any, text: str, limit: int) -> Tokens:
    """`text` padded or cut to `limit` tokens, special ones included."""
    kept = tokenizer(text, padding="max_length", max_length=limit, truncation=True, return_tensors="pt")
    return Tokens(kept.input_ids, kept.attention_mask, _cut(tokenizer, text, limit))


def _cut(tokenizer: Any, text: str, limit: int) -> tuple[str, ...]:
    """The words, split at blanks, of which the limit cuts off at least the end."""
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    room = limit - tokenizer.num_special_tokens_to_add()
    if len(whole.input_ids) <= room:
        return ()
    begin, _end = whole.offset_mapping[room]
    return tuple(word[0] for word in re.finditer(r"\S+", text) if word.end() > begin)
