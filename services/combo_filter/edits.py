"""What an edit's words mean to do, as a trained encoder reads them: it knows wordings that no list of patterns has.

MiniLM (Wang et al., 2020) with an attention head a label, made by `training.combo.train`; a label is a concept of the
prompt or a kind of harmless edit, and one softmax goes over all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from services.combo_filter.folding import fold
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256, load_artifact
from services.core.attention_heads import AttentionHeads
from services.core.errors import ConfigurationError
from services.core.policy.concepts import CONCEPTS
from services.core.signals import ModelVersion, Signal
from services.core.text_encoder import Encoder

SOURCE = "edit-intent/1"
ALTERS = "concept.alters"
_HARMLESS = "harmless_"
_STYLE = ("harmless_light", "harmless_style")
_TOLD = 0.05  # a label below it is no signal
_WORD = re.compile(r"\w+(?:['-]\w+)*")


@dataclass(frozen=True, slots=True)
class EditIntent:
    """Loads once; thread-safe. `labels` are the heads' in order."""

    encoder: Encoder
    heads: AttentionHeads
    labels: tuple[str, ...]
    model: ModelVersion

    @classmethod
    def load(cls, settings: ComboFilterSettings) -> EditIntent:
        """The files that `settings` name; ConfigurationError where one is another than was meant or does not fit."""
        encoder, tokenizer, heads = (
            load_artifact(uri, digest)
            for uri, digest in (
                (settings.edit_encoder, settings.edit_encoder_sha256),
                (settings.edit_tokenizer, settings.edit_tokenizer_sha256),
                (settings.edit_heads, settings.edit_heads_sha256),
            )
        )
        try:
            with np.load(heads, allow_pickle=False) as file:
                parts = {name: file[name] for name in ("labels", "query", "weight", "bias")}
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"{heads.name}: cannot be read: {error}") from error
        labels = tuple(str(label) for label in parts.pop("labels"))
        unknown = [label for label in labels if not label.startswith(_HARMLESS) and f"concept.{label}" not in CONCEPTS]
        if unknown:
            raise ConfigurationError(
                f"{heads.name}: tells concepts that the policy does not know: {', '.join(unknown)}"
            )
        model = ModelVersion("edit-intent", "1", file_sha256(heads))
        return cls(Encoder(encoder, tokenizer), AttentionHeads(**parts), labels, model)

    def measure(self, prompt: str) -> tuple[Signal, ...]:
        """`concept.alters`, the probability that the edit changes who is shown or what the picture proves, and the
        concepts that share in it, each with the word that speaks loudest for it; of a long text its worst window's.
        """
        folded = fold(prompt)
        signals: dict[str, Signal] = {}
        for window in self.encoder.windows(folded.text) if folded.text.strip() else ():
            shares = self.heads.shares(self.encoder.states(window))
            for name, score, columns in self._told(shares.sum(axis=0) + self.heads.bias):
                if score >= _TOLD and (name not in signals or score > signals[name].score):
                    place = _loudest(folded.text, window.places, shares[:, columns].sum(axis=1))
                    signals[name] = Signal(name, score, SOURCE, folded.span(*place) if place else None)
        return tuple(signals.values())

    def _told(self, logits: np.ndarray) -> list[tuple[str, float, list[int]]]:
        """Each concept with its probability and the heads that speak for it."""
        odds = np.exp(logits - logits.max())
        scores = odds / odds.sum()
        harmful = [at for at, label in enumerate(self.labels) if not label.startswith(_HARMLESS)]
        style = [at for at, label in enumerate(self.labels) if label in _STYLE]
        groups = [(f"concept.{self.labels[at]}", [at]) for at in harmful]
        groups += [("concept.style", style)]
        told = [(name, float(scores[columns].sum()), columns) for name, columns in groups]
        return [*told, (ALTERS, float(scores[harmful].sum()), [max(harmful, key=lambda at: float(scores[at]))])]


def _loudest(text: str, places: tuple[tuple[int, int], ...], shares: np.ndarray) -> tuple[int, int] | None:
    """Start and end of the word with the token that adds most; None where no token lies in a word."""
    for at in np.argsort(-shares):
        start, end = places[at]
        for word in _WORD.finditer(text):
            if word.start() <= start and end <= word.end():
                return word.span()
    return None
