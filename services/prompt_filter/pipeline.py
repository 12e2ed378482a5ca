"""The whole way of a prompt: validate, normalise, language, banks, gate, classifier; signals come out, no verdict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from services.core.artifacts import file_sha256, load_artifact
from services.core.signals import Measurement, ModelVersion, Signal
from services.core.text_encoder import Encoder
from services.core.timing import timed
from services.prompt_filter.banks import NOTHING_ADDED, PEOPLE, TERMS, Added, Banks, Hit
from services.prompt_filter.classifier import SOURCE, EncoderClassifier, Scored
from services.prompt_filter.compose import minors_score
from services.prompt_filter.evidence import Reading, gather, sexual_score
from services.prompt_filter.gate import Gate
from services.prompt_filter.heads import Heads
from services.prompt_filter.language import LanguageTest, vocabulary
from services.prompt_filter.negative import absences
from services.prompt_filter.normalize import Form, plain, undress
from services.prompt_filter.sequence_classifier import SequenceClassifier, load_sequence_classifier
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.sketch import Sketcher
from services.prompt_filter.validate import validate

LANGUAGE = "language-test/1"
GATE = "prompt-gate/1"


@dataclass(frozen=True, slots=True)
class PromptMeasurement(Measurement):
    """A measurement with `language`, ISO 639-1 or empty, and `language_confidence`, the probability of English."""

    language: str = ""
    language_confidence: float = 0.0


class PromptPipeline:
    """Measures prompts; loads once, thread-safe."""

    def __init__(
        self,
        language: LanguageTest,
        banks: Banks,
        gate: Gate | None,
        classifier: EncoderClassifier,
        larger: SequenceClassifier | None,
        models: tuple[ModelVersion, ...],
    ) -> None:
        """`gate` speaks for `classifier` alone, so there is none beside a `larger` model."""
        self._language = language
        self._banks = banks
        self._gate = gate
        self._classifier = classifier
        self._larger = larger
        self._sketcher = Sketcher(classifier.encoder)
        self.models = models

    @property
    def encoder_sha256(self) -> str:
        """The digest of the encoder that heads must have been fitted on."""
        return self.models[0].digest

    def with_heads(self, heads: bytes) -> PromptPipeline:
        """This pipeline with other heads (.npz) on its encoder; raises ConfigurationError where they do not fit.

        Without a gate: the shipped one says what the shipped heads would.
        """
        classifier = EncoderClassifier(self._classifier.encoder, Heads.read(heads, "candidate"))
        digest = hashlib.sha256(heads).hexdigest()
        version = replace(self.models[1], version=digest[:12], digest=digest)
        models = (self.models[0], version, *(model for model in self.models[2:] if model.source != GATE))
        return PromptPipeline(self._language, self._banks, None, classifier, self._larger, models)

    @classmethod
    def load(cls, settings: PromptFilterSettings) -> PromptPipeline:
        """Loads models and banks; raises ConfigurationError where a file is missing or another than was meant."""
        encoder = load_artifact(settings.encoder_uri, settings.encoder_sha256)
        tokenizer = load_artifact(settings.tokenizer_uri, settings.tokenizer_sha256)
        heads = load_artifact(settings.heads_uri, settings.heads_sha256)
        gate = load_artifact(settings.gate_uri, settings.gate_sha256)
        banks = Banks.load()
        models = (
            _version("prompt-encoder/2", file_sha256(encoder)),
            _version(SOURCE, file_sha256(heads)),
            _version(GATE, file_sha256(gate)),
            *(_version(bank, banks.digest) for bank in (PEOPLE, TERMS)),
        )
        classifier = EncoderClassifier(Encoder(encoder, tokenizer), Heads.load(heads))
        if not settings.text_model_uri:
            return cls(LanguageTest(), banks, Gate.load(gate), classifier, None, models)
        larger = load_sequence_classifier(
            settings.text_model_uri, settings.text_model_sha256, settings.text_model_labels
        )
        models = (*(model for model in models if model.source != GATE), larger.model)
        return cls(LanguageTest(), banks, None, classifier, larger, models)

    def measure(self, text: str, negative: str = "", added: Added = NOTHING_ADDED) -> PromptMeasurement:
        """Everything the filter can say of a prompt and its negative prompt; raises InvalidInput where it is none.

        `added` are the banks of Postgres that hold for whoever asks.
        """
        validate(text)
        if negative:
            validate(negative, "negative_prompt")
        timings: dict[str, float] = {}
        with timed(timings, "normalize"):
            original = plain(text)
            readable = undress(original, vocabulary())
            forms = [original] if readable.text == original.text else [original, readable]
        with timed(timings, "language"):
            language = max(
                (self._language.of(form.text) for form in forms if form is original or form.disguised),
                key=lambda found: found.english,
            )
        with timed(timings, "banks"):
            hits = [self._banks.search(form.text, added) for form in forms]
        with timed(timings, "gate"):
            scored = self._settled(forms, hits)
        if not scored:
            with timed(timings, "classifier"):
                scored = [self._classifier.read(form.text) for form in forms]
        if self._larger:
            with timed(timings, "text-model"):
                scored = [self._larger.overrule(own, form.text) for own, form in zip(scored, forms, strict=True)]
        with timed(timings, "evidence"):
            readings = [Reading(*found) for found in zip(forms, hits, scored, strict=True)]
            signals = gather(readings)
            if self._larger:
                signals = tuple(self._larger.sign(signal) for signal in signals)
        if negative:
            with timed(timings, "negative"):
                absent = undress(plain(negative), vocabulary())
                signals = (*signals, *absences(absent, forms[-1], self._classifier, sexual_score(readings)))
        foreign = Signal("language", 1 - language.english, LANGUAGE)
        models = (*self.models, *added.versions)
        return PromptMeasurement((*signals, foreign), models, timings, (), language.code, language.english)

    def sketch(self, text: str) -> bytes:
        """What near-duplicates of a prompt share, as in `Check`; disguised words are read for what they say."""
        return self._sketcher.sketch(undress(plain(text), vocabulary()).text)

    def _settled(self, forms: list[Form], hits: list[list[Hit]]) -> list[Scored]:
        """What the gate says where it may: nothing is disguised, in a bank, or beside a word of age."""
        text = forms[0].text
        if self._gate is None or len(forms) > 1 or any(hits) or minors_score(text, 1.0)[0]:
            return []
        settled = self._gate.scores(text)
        return [Scored(settled, lambda _: {})] if settled else []


def _version(source: str, digest: str) -> ModelVersion:
    name, _, version = source.partition("/")
    return ModelVersion(name, version, digest)
