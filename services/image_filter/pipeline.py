"""The whole way of a picture: sanitise, look, compare with the banks. Uploads and outputs go the same way."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.imaging import Sanitised, sanitise
from services.core.policy.categories import CATEGORIES
from services.core.signals import Measurement, ModelVersion, Signal, with_zeros
from services.core.timing import timed
from services.image_filter.banks import Banks
from services.image_filter.detectors import Detector
from services.image_filter.detectors.cascades import Cascades
from services.image_filter.detectors.nudenet import NudeNet
from services.image_filter.detectors.photo import PhotoDetector
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_reader import PARTLY_READ, PaintedText, TextReader


@dataclass(frozen=True, slots=True)
class ImageMeasurement:
    """What the filter says of one picture, and the picture that all later steps use.

    `texts` stand in it; what they say is for the prompt filter to measure (`text_judge`).
    """

    measurement: Measurement
    sanitised: Sanitised
    texts: tuple[PaintedText, ...] = ()


class ImagePipeline:
    """Detectors in order, each seeing what the earlier ones found; then the banks, which may be exchanged meanwhile."""

    def __init__(self, detectors: tuple[Detector, ...], banks: Banks, reader: TextReader) -> None:
        self._detectors = detectors
        self._reader = reader
        self.banks = banks

    @classmethod
    def load(cls, settings: ImageFilterSettings) -> ImagePipeline:
        """The detectors that `settings` name, with empty banks; ConfigurationError says what is missing."""
        photo = PhotoDetector(settings.photo_model, settings.photo_model_sha256)
        reader = TextReader(settings.text_finder_model, settings.text_finder_model_sha256)
        return cls((NudeNet(), Cascades(), photo), Banks((), "none"), reader)

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """The models that take part, the banks' state among them."""
        detectors = (detector.model for detector in self._detectors)
        return (*detectors, *self._reader.models, ModelVersion("banks", self.banks.version))

    def measure(self, data: bytes) -> ImageMeasurement:
        """Decode untrusted `data` and measure it; blocking, safe from several threads.

        An output is looked at as closely as an upload: what follows from a signal is for the policy to say.
        Raises InvalidInput for what is no acceptable picture, Unavailable where a detector cannot look.
        """
        timings: dict[str, float] = {}
        with timed(timings, "sanitise"):
            picture = sanitise(data)
        signals: tuple[Signal, ...] = ()
        for detector in self._detectors:
            with timed(timings, detector.model.name):
                found = detector.detect([picture.rgb], [signals])[0]
            signals += with_zeros(found, detector.categories & CATEGORIES.keys(), detector.model.source)
        with timed(timings, "text-reader"):
            reading = self._reader.read([picture.rgb])[0]
        banks = self.banks
        with timed(timings, "banks"):
            signals += with_zeros(banks.search(picture.rgb), ["known_image"], banks.source)
        capabilities = () if reading.whole else (PARTLY_READ,)
        return ImageMeasurement(Measurement(signals, self.models, timings, capabilities), picture, reading.texts)

    def close(self) -> None:
        """End the detectors' processes."""
        for detector in self._detectors:
            detector.close()
