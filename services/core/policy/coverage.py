"""What must have been measured before a policy may speak: a category that nobody looked for is not innocent."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import Unavailable
from services.core.policy.categories import CATEGORIES, IMAGE_ONLY, PAIR_ONLY, TEXT_ONLY, Stage
from services.core.signals import Measurement

# What a picture shows and what is written in it; whether it is one of ours is for provenance to say.
_PICTURE = frozenset(CATEGORIES) - TEXT_ONLY - PAIR_ONLY - {"lineage"}
REQUIRED: Mapping[Stage, frozenset[str]] = {
    "prompt": frozenset(CATEGORIES) - IMAGE_ONLY - PAIR_ONLY,
    "upload": _PICTURE,
    "output": _PICTURE,
    "pair": PAIR_ONLY,
}


def require_measured(stage: Stage, measurement: Measurement) -> None:
    """Raises Unavailable, naming them, where categories that `stage` must measure have no score, not even 0."""
    if missing := REQUIRED[stage] - measurement.scores().keys():
        raise Unavailable(f"the {stage} was not measured for {', '.join(sorted(missing))}", reason="NOT_MEASURED")
