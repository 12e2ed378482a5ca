"""A second opinion for doubtful prompts: a guard model by URI that answers one word, safe or not.

Llama Guard (Inan et al. 2023) says "safe" or "unsafe", ShieldGemma (Zeng et al. 2024) "No" or "Yes": the score is the
probability of the bad word against the good one as the next token. It can only add a measurement: no rule lets it
open what was closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from services.core.artifacts import folder_sha256, load_folder
from services.core.errors import ConfigurationError
from services.core.signals import Measurement, ModelVersion, Signal
from services.core.timing import timed

CATEGORY = "concept.second_opinion"
_PLACE = "{prompt}"
_TOKENS = 4_096
Measured = TypeVar("Measured", bound=Measurement)


@dataclass(frozen=True, slots=True)
class Words:
    """How the model is asked and what it answers; an empty `template` takes the model's own chat template."""

    template: str
    unsafe: str
    safe: str


class Guard:
    """Asks the model; thread-safe."""

    def __init__(self, network: Any, tokenizer: Any, words: Words, model: ModelVersion) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._words = words
        self._answers = [_first_token(tokenizer, word) for word in (words.safe, words.unsafe)]
        if self._answers[0] == self._answers[1]:
            raise ConfigurationError(f"guard {model.version}: “{words.safe}” and “{words.unsafe}” begin with one token")
        self.model = model

    def ask(self, prompt: str) -> Signal:
        """The probability 0…1 that the model calls `prompt` unsafe."""
        import torch

        ids = self._ids(prompt).to(self._network.device)
        with torch.inference_mode():
            logits = self._network(ids).logits[0, -1, self._answers].float()
        return Signal(CATEGORY, float(logits.softmax(-1)[1]), self.model.source)

    def _ids(self, prompt: str) -> Any:
        """int64 (1, tokens)."""
        if self._words.template:
            text = self._words.template.replace(_PLACE, prompt)
            return self._tokenizer(text, return_tensors="pt", truncation=True, max_length=_TOKENS).input_ids
        chat = [{"role": "user", "content": prompt}]
        return self._tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", truncation=True, max_length=_TOKENS, return_dict=True
        )["input_ids"]


def second_opinion(guard: Guard, prompt: str, measured: Measured) -> Measured:
    """`measured` with the guard's signal, version and time."""
    timings = dict(measured.timings)
    with timed(timings, "guard"):
        signal = guard.ask(prompt)
    signals, models = (*measured.signals, signal), (*measured.models, guard.model)
    return replace(measured, signals=signals, models=models, timings=timings)


def load_guard(uri: str, sha256: str, words: Words) -> Guard:
    """The model at `uri` (see `load_folder`), on the GPU where there is one; ConfigurationError where it cannot be."""
    folder = load_folder(uri, sha256)
    if words.template and _PLACE not in words.template:
        raise ConfigurationError(f"guard {uri}: its template has no {_PLACE}, the place of the text")
    network, tokenizer = _open(folder, uri)
    if not (words.template or tokenizer.chat_template):
        raise ConfigurationError(f"guard {uri}: has no chat template; set one with {_PLACE} in it")
    return Guard(network, tokenizer, words, ModelVersion("guard", folder.name, folder_sha256(folder)))


def _open(folder: Path, uri: str) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from services.core.torch_compat import guard_torchvision
    except ImportError as error:
        raise ConfigurationError(f"guard {uri}: needs `pip install 'portcullis[text-models]'` ({error})") from error
    guard_torchvision()
    try:
        network = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype="auto"
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigurationError(f"guard {uri}: cannot be loaded: {error}") from error
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _first_token(tokenizer: Any, word: str) -> int:
    ids = tokenizer(word, add_special_tokens=False).input_ids
    if not ids or ids[0] == tokenizer.unk_token_id:
        raise ConfigurationError(f"guard: its tokenizer does not know the answer “{word}”")
    return int(ids[0])
