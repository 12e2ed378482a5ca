"""The whole way of a prompt: validate, normalise, language, banks, classifier; signals come out, no verdict."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.artifacts import file_sha256, load_artifact
from services.core.signals import Measurement, ModelVersion, Signal
from services.core.timing import timed
from services.prompt_filter.banks import PEOPLE, TERMS, Banks
from services.prompt_filter.classifier import SOURCE, Classifier, Heads
from services.prompt_filter.encoder import Encoder
from services.prompt_filter.evidence import Reading, gather
from services.prompt_filter.language import LanguageTest, vocabulary
from services.prompt_filter.negative import absences
from services.prompt_filter.normalize import plain, undress
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.validate import validate

LANGUAGE = "language-test/1"


@dataclass(frozen=True, slots=True)
class PromptMeasurement(Measurement):
    """A measurement with `language`, ISO 639-1 or empty, and `language_confidence`, the probability of English."""

    language: str = ""
    language_confidence: float = 0.0


class PromptPipeline:
    """Measures prompts; loads once, thread-safe."""

    def __init__(
        self, language: LanguageTest, banks: Banks, classifier: Classifier, models: tuple[ModelVersion, ...]
    ) -> None:
        self._language = language
        self._banks = banks
        self._classifier = classifier
        self.models = models

    @classmethod
    def load(cls, settings: PromptFilterSettings) -> PromptPipeline:
        """Loads models and banks; raises ConfigurationError where a file is missing or another than was meant."""
        encoder = load_artifact(settings.encoder_uri, settings.encoder_sha256)
        tokenizer = load_artifact(settings.tokenizer_uri, settings.tokenizer_sha256)
        heads = load_artifact(settings.heads_uri, settings.heads_sha256)
        banks = Banks.load()
        models = (
            _version("prompt-encoder/1", file_sha256(encoder)),
            _version(SOURCE, file_sha256(heads)),
            *(_version(bank, banks.digest) for bank in (PEOPLE, TERMS)),
        )
        return cls(LanguageTest(), banks, Classifier(Encoder(encoder, tokenizer), Heads.load(heads)), models)

    def measure(self, text: str, negative: str = "") -> PromptMeasurement:
        """Everything the filter can say of a prompt and its negative prompt; raises InvalidInput where it is none."""
        validate(text)
        if negative:
            validate(negative, "negative_prompt")
        timings: dict[str, float] = {}
        with timed(timings, "normalize"):
            original = plain(text)
            readable = undress(original, vocabulary())
            forms = [original] if readable.text == original.text else [original, readable]
        with timed(timings, "language"):
            language = max((self._language.of(form.text) for form in forms), key=lambda found: found.english)
        with timed(timings, "banks"):
            hits = [self._banks.search(form.text) for form in forms]
        with timed(timings, "classifier"):
            scores = [self._classifier.scores(form.text) for form in forms]
        with timed(timings, "evidence"):
            signals = gather([Reading(*found) for found in zip(forms, hits, scores, strict=True)], self._classifier)
        if negative:
            with timed(timings, "negative"):
                absent = undress(plain(negative), vocabulary())
                sexual = max(signal.score for signal in signals if signal.category == "sexual")
                signals = (*signals, *absences(absent, forms[-1], self._classifier, sexual))
        foreign = Signal("language", 1 - language.english, LANGUAGE)
        return PromptMeasurement((*signals, foreign), self.models, timings, (), language.code, language.english)


def _version(source: str, digest: str) -> ModelVersion:
    name, _, version = source.partition("/")
    return ModelVersion(name, version, digest)
