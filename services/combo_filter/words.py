"""What an edit's words would do to the picture: the vocabulary's findings and the trained encoder's, together."""

from __future__ import annotations

from dataclasses import dataclass

from services.combo_filter import concepts
from services.combo_filter.concepts import PromptConcepts
from services.combo_filter.edits import EditIntent
from services.combo_filter.settings import ComboFilterSettings
from services.core.signals import ModelVersion, Signal

PATTERNS = ModelVersion("pair-words", concepts.VERSION)


@dataclass(frozen=True, slots=True)
class Words:
    """Loads once; thread-safe."""

    patterns: PromptConcepts
    intent: EditIntent

    @classmethod
    def load(cls, settings: ComboFilterSettings) -> Words:
        """The vocabulary of the room and the encoder that `settings` name; ConfigurationError says what is wrong."""
        return cls(PromptConcepts.load(), EditIntent.load(settings))

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """The models that take part."""
        return PATTERNS, self.intent.model

    def measure(self, prompt: str, negative_prompt: str = "") -> tuple[Signal, ...]:
        """`concept.*` signals, each with the words that say so; a concept may be told by both, with its own score."""
        absent = self.patterns.measure_absent(negative_prompt) if negative_prompt else ()
        return (*self.patterns.measure(prompt), *absent, *self.intent.measure(prompt))
