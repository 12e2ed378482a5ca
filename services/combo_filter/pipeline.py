"""The whole way of a pair: words, geometry of the mask, sight of the picture, and all of it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from services.combo_filter import joint, mask
from services.combo_filter.encoder import JointEncoder, load_encoder
from services.combo_filter.settings import ComboFilterSettings
from services.combo_filter.words import Words
from services.core.errors import InvalidInput
from services.core.imaging import decode_rgb
from services.core.policy.categories import PAIR_ONLY
from services.core.signals import Measurement, ModelVersion, Signal, with_zeros
from services.core.timing import timed

Operation = Literal["edit", "variation"]

NO_ENCODER = "no-joint-encoder"


class ComboPipeline:
    """Measures pairs; without a joint encoder it says so, and the policy is the more cautious for it."""

    def __init__(self, words: Words, encoder: JointEncoder | None) -> None:
        self._words = words
        self._encoder = encoder

    @classmethod
    def load(cls, settings: ComboFilterSettings) -> ComboPipeline:
        """Vocabulary and encoders as `settings` name them; ConfigurationError says what is wrong."""
        return cls(Words.load(settings), load_encoder(settings))

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """The models that take part."""
        return (*self._words.models, *(() if self._encoder is None else (self._encoder.model,)))

    def measure(
        self,
        operation: Operation,
        prompt: str,
        negative_prompt: str,
        image_png: bytes,
        mask_png: bytes | None,
        prompt_signals: Sequence[Signal],
        upload_signals: Sequence[Signal],
    ) -> Measurement:
        """Measure a pair; blocking, safe from several threads.

        Args:
            operation: what is asked of the generator.
            prompt: the text; evidence spans point into its UTF-8 bytes.
            negative_prompt: what the picture shall not show; clothes that it names are to come off.
            image_png: the sanitised picture.
            mask_png: the sanitised mask, white where the picture may change; an edit needs one.
            prompt_signals: what the prompt filter measured.
            upload_signals: what the image filter measured.

        Raises:
            InvalidInput: an edit without a mask, or a mask of another size than the picture.
        """
        if operation == "edit" and mask_png is None:
            raise InvalidInput("mask", "an edit needs one")
        timings: dict[str, float] = {}
        signals = [Signal(f"concept.operation.{operation}", 1.0, joint.SOURCE)]
        with timed(timings, "words"):
            named = self._words.measure(prompt, negative_prompt)
        if mask_png is not None:
            with timed(timings, "mask"):
                signals += mask.measure(mask.open_mask(mask_png, image_png), upload_signals)
        if self._encoder is not None:
            with timed(timings, "encoder"):
                signals += self._encoder.measure(decode_rgb(image_png), prompt)
        with timed(timings, "joint"):
            signals += [*named, *joint.combine(named, joint.photo_score(upload_signals))]
            signals += joint.halves(prompt_signals, upload_signals)
        capabilities = (NO_ENCODER,) if self._encoder is None else ()
        return Measurement(with_zeros(signals, PAIR_ONLY, joint.SOURCE), self.models, timings, capabilities)
