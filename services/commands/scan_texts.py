"""What stands in a picture, judged offline: the prompt filter's pipeline in the same process as the image filter's."""

from __future__ import annotations

from services.core.signals import Measurement
from services.image_filter.pipeline import ImageMeasurement
from services.image_filter.text_judge import sendable, with_texts
from services.prompt_filter.painted import measure_painted
from services.prompt_filter.pipeline import PromptPipeline


def with_its_texts(measured: ImageMeasurement, words: PromptPipeline) -> Measurement:
    """The picture's measurement with what its texts say, as the service gives it."""
    texts = sendable(measured.texts)
    said = measure_painted(words, [text.text for text in texts])
    models = said[0].models if said else ()
    return with_texts(measured.measurement, texts, [one.signals for one in said], models)
