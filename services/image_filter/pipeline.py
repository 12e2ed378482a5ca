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


@dataclass(frozen=True, slots=True)
class ImageMeasurement:
    """What the filter says of one picture, and the picture that all later steps use."""

    measurement: Measurement
    sanitised: Sanitised


class ImagePipeline:
    """Detectors in order, each seeing what the earlier ones found; then the banks, which may be exchanged meanwhile."""

    def __init__(self, detectors: tuple[Detector, ...], banks: Banks) -> None:
        self._detectors = detectors
        self.banks = banks

    @classmethod
    def load(cls, settings: ImageFilterSettings) -> ImagePipeline:
        """The detectors that `settings` name, with empty banks; ConfigurationError says what is missing."""
        photo = PhotoDetector(settings.photo_model, settings.photo_model_sha256)
        return cls((NudeNet(), Cascades(), photo), Banks((), "none"))

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """The models that take part, the banks' state among them."""
        return (*(detector.model for detector in self._detectors), ModelVersion("banks", self.banks.version))

    def measure(self, data: bytes, tenant: str | None = None) -> ImageMeasurement:
        """Decode untrusted `data` and measure it; blocking, safe from several threads.

        It is compared with the banks of the house and of `tenant`.

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
        banks = self.banks
        with timed(timings, "banks"):
            signals += with_zeros(banks.search(picture.rgb, tenant), ["known_image"], banks.source)
        return ImageMeasurement(Measurement(signals, self.models, timings), picture)

    def close(self) -> None:
        """End the detectors' processes."""
        for detector in self._detectors:
            detector.close()
