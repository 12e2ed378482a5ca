"""The detectors of explicit content that the settings name; all of them look, the highest score counts."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import ConfigurationError
from services.image_filter.detectors import Detector
from services.image_filter.detectors.presets import Preset, presets, resolve
from services.image_filter.settings import ExplicitModel


def load_explicit(entries: Sequence[str | ExplicitModel]) -> tuple[Detector, ...]:
    """Every configured detector, in order; ConfigurationError where there is none or one cannot be had."""
    if not entries:
        raise ConfigurationError(
            "no detector of explicit content is configured: set PORTCULLIS_IMAGE_FILTER_EXPLICIT to one or more of "
            f"{', '.join(presets())}, or to a model by URI; offline there are pip install 'portcullis[nudenet]' "
            "(AGPL-3.0) and 'portcullis[opennsfw]' (BSD-2-Clause)",
            reason="NO_EXPLICIT_CONTENT_DETECTOR",
        )
    loaded: list[Detector] = []
    try:
        for preset in [resolve(entry) for entry in entries]:
            loaded.append(_load(preset))
    except BaseException:
        for detector in loaded:
            detector.close()
        raise
    return tuple(loaded)


def _load(preset: Preset) -> Detector:
    """The detector of one setting; each kind is imported only where it is wanted."""
    if preset.package == "nudenet":
        from services.image_filter.detectors.nudenet import NudeNet

        return NudeNet()
    if not preset.uri:
        raise ConfigurationError(f"{preset.preset} has no address of its own: set its uri and sha256")
    if preset.encoder:
        from services.image_filter.detectors.clip_head import load_clip_head

        return load_clip_head(preset, preset.encoder)
    if preset.preset == "laion":
        raise ConfigurationError(f"model {preset.uri}: set the `encoder` that it was trained on")
    if preset.uri.endswith(".onnx"):
        from services.image_filter.detectors.onnx_classifier import load_onnx_classifier

        return load_onnx_classifier(preset)
    from services.image_filter.detectors.classifier import load_classifier

    return load_classifier(preset)
