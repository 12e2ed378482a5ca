"""Detectors of explicit content that are known by name: where they are, their licence, and what their labels mean."""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml

from services.core.errors import ConfigurationError
from services.image_filter.settings import ExplicitModel

UNKNOWN_LICENCE = "NOASSERTION"  # SPDX's word for "nobody said"


class Preset(ExplicitModel):
    """A known detector; `package` is the Python package that carries it, if one does (its extra has the same start)."""

    package: str = ""

    @property
    def extra(self) -> str:
        """The extra of this package that installs it."""
        return self.package.partition("_")[0]


@cache
def presets() -> dict[str, Preset]:
    """All of data/explicit.yaml by name."""
    text = (resources.files("services.image_filter") / "data" / "explicit.yaml").read_text(encoding="utf-8")
    return {name: Preset(preset=name, **values) for name, values in yaml.safe_load(text).items()}


def resolve(entry: str | ExplicitModel) -> Preset:
    """What a setting means: its preset, if it names one, with what it says itself put on top.

    Raises ConfigurationError where the preset is unknown or nothing is named.
    """
    own = ExplicitModel(preset=entry) if isinstance(entry, str) else entry
    if not own.preset and not own.uri:
        raise ConfigurationError("a detector of explicit content needs a preset or a uri", reason="BAD_SETTING")
    if own.preset and own.preset not in presets():
        raise ConfigurationError(
            f"no preset of explicit content is called {own.preset!r}: there are {', '.join(presets())}; a model by URI "
            'is written {"uri": …, "sha256": …, "labels": {…}}',
            reason="BAD_SETTING",
        )
    base = presets()[own.preset] if own.preset else Preset(licence=UNKNOWN_LICENCE)
    changes = own.model_dump(exclude_defaults=True)
    if own.uri:
        changes["package"] = ""  # another copy than the package's
    return Preset.model_validate({**base.model_dump(), **changes})
