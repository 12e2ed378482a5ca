"""Tiny checkpoints in Hugging Face's layout, made on the spot: real files, random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from services.core.torch_compat import guard_torchvision

guard_torchvision()
from transformers import (  # noqa: E402 - after the guard
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "lighthouse", "kill", "safe", "unsafe", "Is", "this", ":", "?"]
CHAT = "{% for message in messages %}Is this safe : {{ message['content'] }} ?{% endfor %}"


def classifier(folder: Path, labels: list[str], exclusive: bool = False) -> Path:
    """A sequence classifier of one layer that answers the more strongly the later a label stands."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="single_label_classification" if exclusive else "multi_label_classification",
    )
    network = BertForSequenceClassification(config)
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.arange(len(labels)).float())
    network.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def causal(folder: Path, chat: str | None = CHAT) -> Path:
    """A causal language model of one layer."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=16,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = _tokenizer()
    tokenizer.chat_template = chat
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
