"""The whole way of pictures: sanitise, look, compare with the banks. Uploads and outputs go the same way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from services.core.imaging import Rgb, Sanitised, sanitise
from services.core.policy.categories import CATEGORIES
from services.core.signals import Measurement, ModelVersion, with_zeros
from services.core.timing import timed
from services.image_filter.banks import Banks
from services.image_filter.detectors import Detector, Found
from services.image_filter.detectors.age import AgeDetector
from services.image_filter.detectors.explicit import load_explicit
from services.image_filter.detectors.mtcnn import Mtcnn
from services.image_filter.detectors.opinion import load_opinion
from services.image_filter.detectors.photo import PhotoDetector
from services.image_filter.detectors.sharpness import Sharpness
from services.image_filter.detectors.skin import Skin
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_reader import PARTLY_READ, PaintedText, Reading, TextReader


@dataclass(frozen=True, slots=True)
class ImageMeasurement:
    """What the filter says of one picture, and the picture that all later steps use.

    `texts` stand in it; what they say is for the prompt filter to measure (`text_judge`).
    """

    measurement: Measurement
    sanitised: Sanitised
    texts: tuple[PaintedText, ...] = ()


class ImagePipeline:
    """Detectors that need nothing of each other, side by side; then others in order, each seeing what the earlier ones
    found; then the banks, which may be exchanged meanwhile.
    """

    def __init__(
        self, alone: tuple[Detector, ...], after: tuple[Detector, ...], banks: Banks, reader: TextReader
    ) -> None:
        self._alone, self._after = alone, after
        self._reader = reader
        self.banks = banks

    @classmethod
    def load(cls, settings: ImageFilterSettings) -> ImagePipeline:
        """The detectors that `settings` name, with empty banks; ConfigurationError says what is missing."""
        photo = PhotoDetector(settings.photo_model, settings.photo_model_sha256)
        opinion = (load_opinion(settings.opinion_uri, settings.opinion_sha256),) if settings.opinion_uri else ()
        explicit = load_explicit(settings.explicit)
        reader = TextReader(settings.text_finder_model, settings.text_finder_model_sha256)
        after = (photo, AgeDetector(), Skin(), Sharpness(), *opinion)
        return cls((*explicit, Mtcnn()), after, Banks((), "none"), reader)

    @property
    def _detectors(self) -> tuple[Detector, ...]:
        return (*self._alone, *self._after)

    @property
    def licences(self) -> dict[str, str]:
        """The licence of each detector's model by its source."""
        return {detector.model.source: detector.licence for detector in self._detectors}

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """The models that take part, the banks' state among them."""
        detectors = (detector.model for detector in self._detectors)
        return (*detectors, *self._reader.models, ModelVersion("banks", self.banks.version))

    def measure(self, data: bytes, tenant: str | None = None) -> ImageMeasurement:
        """`measure_all` of one picture."""
        return self.measure_all([data], tenant)[0]

    def measure_all(self, batch: Sequence[bytes], tenant: str | None = None) -> list[ImageMeasurement]:
        """Decode untrusted files and measure them as one batch; blocking, safe from several threads.

        They are compared with the banks of the house and of `tenant`. An output is looked at as closely as an upload:
        what follows from a signal is for the policy to say.
        Raises InvalidInput for what is no acceptable picture, Unavailable where a detector cannot look.
        """
        timings: dict[str, float] = {}
        with timed(timings, "sanitise"), ThreadPoolExecutor(len(batch)) as side_by_side:
            pictures = list(side_by_side.map(sanitise, batch))
        views = [(picture.rgb, *picture.others) for picture in pictures]
        flat = [view for own in views for view in own]
        # Reading needs nothing of the detectors: beside them it costs no time of its own where a core is idle.
        with ThreadPoolExecutor(1) as beside:
            reading = beside.submit(self._read, flat, timings)
            found = iter(self._look(flat, tenant, timings))
            readings = iter(reading.result())
        share = {step: milliseconds / len(batch) for step, milliseconds in timings.items()}
        return [
            self._measured(picture, [next(found) for _ in own], [next(readings) for _ in own], share)
            for own, picture in zip(views, pictures, strict=True)
        ]

    def close(self) -> None:
        """End the detectors' processes."""
        for detector in self._detectors:
            detector.close()

    def _measured(
        self, picture: Sanitised, found: Sequence[Found], readings: Sequence[Reading], timings: dict[str, float]
    ) -> ImageMeasurement:
        """Whatever is seen and read in any view of a picture: as it is shown, and what its transparency hides."""
        signals = tuple(dict.fromkeys(signal for view in found for signal in view))
        texts = tuple(dict.fromkeys(text for reading in readings for text in reading.texts))
        capabilities = () if all(reading.whole for reading in readings) else (PARTLY_READ,)
        return ImageMeasurement(Measurement(signals, self.models, timings, capabilities), picture, texts)

    def _read(self, pictures: Sequence[Rgb], timings: dict[str, float]) -> list[Reading]:
        with timed(timings, "text-reader"):
            return self._reader.read(pictures)

    def _look(self, pictures: Sequence[Rgb], tenant: str | None, timings: dict[str, float]) -> list[Found]:
        """All signals of each picture; a score of 0 for what was looked for and not found."""
        found: list[Found] = [()] * len(pictures)
        if self._alone:
            with ThreadPoolExecutor(len(self._alone)) as side_by_side:
                looks = list(side_by_side.map(lambda one: _detect(one, pictures, found, timings), self._alone))
            found = [tuple(chain.from_iterable(signals)) for signals in zip(*looks, strict=True)]
        for detector in self._after:
            fresh = _detect(detector, pictures, found, timings)
            found = [old + new for old, new in zip(found, fresh, strict=True)]
        banks = self.banks
        with timed(timings, "banks"):
            return [
                old + with_zeros(banks.search(picture, tenant), ["known_image"], banks.source)
                for old, picture in zip(found, pictures, strict=True)
            ]


def _detect(
    detector: Detector, pictures: Sequence[Rgb], found: Sequence[Found], timings: dict[str, float]
) -> list[Found]:
    with timed(timings, detector.model.name):
        fresh = detector.detect(pictures, found)
    asked, source = detector.categories & CATEGORIES.keys(), detector.model.source
    return [with_zeros(signals, asked, source) for signals in fresh]
