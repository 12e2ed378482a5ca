"""What texts in pictures say: the prompt filter measures them, and what it says becomes signals of the picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import exp

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from portcullis.v1 import prompt_filter_pb2 as pb
from portcullis.v1 import prompt_filter_pb2_grpc as stubs
from portcullis.v1.checks_pb2 import Subject
from services.core.config import HouseSettings
from services.core.errors import InvalidInput, Unavailable
from services.core.policy.categories import CATEGORIES, IMAGE_ONLY, PAIR_ONLY, TEXT_ONLY
from services.core.policy.scores import settled
from services.core.rpc import convert
from services.core.rpc.channel import answer, connect
from services.core.signals import Measurement, ModelVersion, Signal, with_zeros
from services.core.timing import timed
from services.image_filter.compose import minors
from services.image_filter.text_reader import PaintedText

SOURCE = "text-in-picture"
# What a text can say of a picture. A language is no fault there, and a reader's slips look like disguises.
SPOKEN = frozenset(CATEGORIES) - TEXT_ONLY - IMAGE_ONLY - PAIR_ONLY
_SECONDS, _READY_SECONDS = 10.0, 2.0
_MOST_TEXTS, _MOST_CHARACTERS = 128, 1_000  # the contract's
_MOST_PLACES = 32  # lines whose places are told
# Texts in pictures break the rules less often than the prompts on which scores were calibrated: the same evidence
# says less, this much in log odds.
_RARER = 0.8
# Of a label of so few words the prompt filter has asked its classifier as a prompt would put it as well: half as much.
_RARER_LABEL = 0.45
_LABEL, _CLASSIFIER = 3, "prompt-classifier/"
_CERTAIN = "sexual.minors"  # where no doubt is given away
# Where lines are joined, a word of one makes a name of a word of another ("Winter sale", "Spring concert").
_BY_LINE = "public_figure"


class TextJudge:
    """Asks the prompt filter over gRPC."""

    def __init__(self, house: HouseSettings) -> None:
        self._channel = connect(house, "image_filter", "prompt_filter")
        self._prompts = stubs.PromptFilterServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    async def judge(self, subject: Subject, measured: Measurement, texts: Sequence[PaintedText]) -> Measurement:
        """`measured` with what `texts` of the picture say; Unavailable where the prompt filter does not answer."""
        timings = dict(measured.timings)
        with timed(timings, SOURCE):
            asked = sendable(texts)
            response = await self._measure(subject, asked) if asked else pb.MeasureTextsResponse()
        said = [[convert.signal_from_proto(signal) for signal in text.signals] for text in response.texts]
        models = [convert.model_from_proto(model) for model in response.models]
        return replace(with_texts(measured, asked, said, models), timings=timings)

    async def ready(self) -> None:
        """Raises Unavailable while the prompt filter does not serve."""
        try:
            found = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_READY_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Unavailable("the prompt filter, which judges text in pictures, does not answer") from error
        if found.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("the prompt filter, which judges text in pictures, does not serve")

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close(None)

    async def _measure(self, subject: Subject, texts: Sequence[PaintedText]) -> pb.MeasureTextsResponse:
        request = pb.MeasureTextsRequest(subject=subject, texts=[text.text for text in texts])
        try:
            response = await answer(self._prompts.MeasureTexts(request, timeout=_SECONDS), "prompt filter")
        except InvalidInput as error:  # nobody sent these texts: that they cannot be judged is ours to mend
            raise Unavailable("the text in the picture could not be judged") from error
        if len(response.texts) != len(texts):
            raise Unavailable("the text in the picture was not judged as a whole")
        return response


def sendable(texts: Sequence[PaintedText]) -> list[PaintedText]:
    """The texts as the contract allows them: without control characters, long ones in pieces, 128 at most."""
    pieces = [
        replace(text, text=clean[start : start + _MOST_CHARACTERS])
        for text in texts
        if (clean := "".join(letter for letter in text.text if unicodedata.category(letter)[0] != "C"))
        for start in range(0, len(clean), _MOST_CHARACTERS)
    ]
    return [piece for piece in pieces if any(map(str.isalnum, piece.text))][:_MOST_TEXTS]


def with_texts(
    measured: Measurement,
    texts: Sequence[PaintedText],
    said: Sequence[Iterable[Signal]],
    models: Iterable[ModelVersion],
) -> Measurement:
    """`measured` with the loudest signal of each category that the texts speak of, at the box where its text stands.

    What none speaks of is measured too, with 0. Last comes what only all signals together tell (`compose`).
    """
    loudest: dict[str, Signal] = {}
    for text, signals in zip(texts, said, strict=True):
        for signal in signals:
            if signal.category not in SPOKEN or (text.joined and signal.category.startswith(_BY_LINE)):
                continue
            label = len(text.text.split()) <= _LABEL and signal.source.startswith(_CLASSIFIER)
            score = _rarer(signal, _RARER_LABEL if label else _RARER)
            found = Signal(signal.category, score, f"{SOURCE}/{signal.source}", text.box)
            loudest[signal.category] = max(loudest.get(signal.category, found), found, key=lambda one: one.score)
    spoken = (*with_zeros(tuple(loudest.values()), SPOKEN, SOURCE), *_places(texts))
    new = (model for model in models if model not in measured.models)
    return replace(measured, signals=minors((*measured.signals, *spoken)), models=(*measured.models, *new))


def _places(texts: Sequence[PaintedText]) -> list[Signal]:
    """Where words stand, the largest first, as measurements for the rules about edits."""
    lines = sorted((text for text in texts if not text.joined), key=lambda text: text.box.w * text.box.h, reverse=True)
    return [Signal("concept.text", text.confidence, SOURCE, text.box) for text in lines[:_MOST_PLACES]]


def _rarer(signal: Signal, much: float) -> float:
    """Its score where violations are rarer by `much` in log odds."""
    score = settled(signal).score
    if signal.category == _CERTAIN or not 0 < score < 1:
        return score
    odds = score / (1 - score) * exp(-much)
    return odds / (1 + odds)
