"""From what each layer found to one verdict. A mark alone is never a verdict: it must agree with the registry.

| signs | verdict |
|---|---|
| the file's sha256 is registered, with its manifest or stripped of it | OURS_INTACT |
| a manifest or mark of ours names a picture that the registry does not know, or they name two | CONFLICT |
| they name a picture that looks different from this one | CONFLICT |
| the manifest is trusted and stands on the very content that was signed | OURS_INTACT |
| they name a picture that looks the same | OURS_ALTERED |
| they name a picture of which this shows a part | OURS_DERIVED |
| no such sign, but the registry knows a picture that looks the same | OURS_ALTERED |
| none of these, whatever the visible signature says: anyone can draw that | NOT_FOUND |

What an encoder finds alike is evidence beside NOT_FOUND and moves no verdict: unrelated pictures are too often as like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from services.core.signals import Box
from services.core.store.images import RegisteredImage
from services.provenance.fingerprint import Likeness
from services.provenance.manifest_reader import ManifestFinding

Layer = Literal["manifest", "watermark", "registry", "signature", "embedding"]

# Collisions of SHA-256 and forgeries of P-256 signatures: the standards' 128 bits.
_CRYPTOGRAPHIC = 2.0**-128
# Look-alikes and visible signatures: none among 938 pictures that are not ours (README.md); the 95% bound is 3 / 938.
_UNSEEN = 3.2e-3


class Origin(IntEnum):
    """What a picture is; the numbers are those of the proto."""

    OURS_INTACT = 1
    OURS_ALTERED = 2
    OURS_DERIVED = 3
    NOT_FOUND = 4
    CONFLICT = 5


@dataclass(frozen=True, slots=True)
class Naming:
    """A sign that names a picture: the registered one, None where there is none, and how the file compares with it."""

    payload_id: str
    image: RegisteredImage | None
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class Signs:
    """What was found: by sha256, in the manifest, in the watermark, by perceptual hash, and the visible signature.

    `restored`: the file has lost its manifest, and with the one that the registry keeps it is what was signed.
    `mark_faint`: the mark was not read, but that of the look-alike fits.
    """

    exact: RegisteredImage | None
    manifest: ManifestFinding
    restored: bool
    manifest_naming: Naming | None
    mark_naming: Naming | None
    mark_false_positive: float
    mark_faint: bool
    near: RegisteredImage | None
    signature: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What one layer says; `false_positive` is the probability that a picture that is not ours would look like this."""

    layer: Layer
    found: bool
    message: str
    payload_id: str = ""
    false_positive: float = 1.0


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The verdict, its evidence, and the registered picture where the verdict rests on one.

    `withdrawn`: that picture was withdrawn, or, of a conflict, one that looks like this. `false_positive`: an upper
    bound of the probability that a picture that is none of ours would get this verdict; 1 where it claims nothing.
    `changes`: where a whole copy differs from what was released, in pixels of the file, as far as can be told.
    `resembles`: the picture that the finding by embedding names; no verdict rests on it.
    """

    origin: Origin
    findings: tuple[Finding, ...]
    image: RegisteredImage | None
    withdrawn: bool
    false_positive: float
    changes: tuple[Box, ...] = ()
    resembles: RegisteredImage | None = None


def conclude(signs: Signs) -> Conclusion:
    """The verdict over all layers."""
    findings = (_registry(signs), _manifest(signs), _watermark(signs), _signature(signs))
    origin, image = _weigh(signs)
    touched = [image] if image else _alike(signs)
    withdrawn = any(one.withdrawn_at is not None for one in touched)
    return Conclusion(origin, findings, image, withdrawn, _false_positive(origin, findings))


def _false_positive(origin: Origin, findings: Iterable[Finding]) -> float:
    """All that speaks for a verdict must be chance at once, so the least likely of it bounds that: layers may depend
    on each other, so their probabilities are not multiplied. The visible signature speaks for nothing, and no model of
    noise is trusted further than the standards' 128 bits.
    """
    if origin is Origin.NOT_FOUND:
        return 1.0
    least = min(one.false_positive for one in findings if one.found and one.layer != "signature")
    return max(least, _CRYPTOGRAPHIC)


def _alike(signs: Signs) -> list[RegisteredImage]:
    named = [naming for naming in (signs.manifest_naming, signs.mark_naming) if naming]
    alike = [naming.image for naming in named if naming.likeness is not Likeness.DIFFERENT]
    return [image for image in (signs.near, *alike) if image]


def _weigh(signs: Signs) -> tuple[Origin, RegisteredImage | None]:
    if signs.exact:
        return Origin.OURS_INTACT, signs.exact
    named = [naming for naming in (signs.manifest_naming, signs.mark_naming) if naming]
    if named:
        return _weigh_names(named, content_as_signed=signs.manifest.state == "trusted")
    if signs.near:
        return Origin.OURS_ALTERED, signs.near
    return Origin.NOT_FOUND, None


def _weigh_names(named: list[Naming], content_as_signed: bool) -> tuple[Origin, RegisteredImage | None]:
    images = {naming.image.image_id for naming in named if naming.image}
    unknown = any(naming.image is None for naming in named)
    likeness = {naming.likeness for naming in named}
    if unknown or len(images) > 1 or Likeness.DIFFERENT in likeness:
        return Origin.CONFLICT, None
    image = named[0].image
    if content_as_signed:
        return Origin.OURS_INTACT, image
    if Likeness.PART in likeness:
        return Origin.OURS_DERIVED, image
    return Origin.OURS_ALTERED, image


def _registry(signs: Signs) -> Finding:
    if signs.exact:
        message = "This very file is registered" + (", but for its manifest." if signs.restored else ".")
        return Finding("registry", True, message, signs.exact.payload_id.hex(), _CRYPTOGRAPHIC)
    if signs.near:
        message = "A registered picture looks the same."
        return Finding("registry", True, message, signs.near.payload_id.hex(), _UNSEEN)
    return Finding("registry", False, "No registered file or look-alike.")


_MANIFEST_MESSAGES = {
    "absent": "There is no manifest.",
    "unreadable": "The manifest cannot be read.",
    "foreign": "The manifest is not one of ours.",
    "changed": "Our manifest, but the content is not what was signed.",
    "trusted": "Our manifest, and the content is what was signed.",
}


def _manifest(signs: Signs) -> Finding:
    message = _MANIFEST_MESSAGES[signs.manifest.state]
    naming = signs.manifest_naming
    if signs.restored and signs.exact:
        message = "The manifest was stripped; with the one that is kept here, the content is what was signed."
        return Finding("manifest", True, message, signs.exact.payload_id.hex(), _CRYPTOGRAPHIC)
    if naming is None:
        return Finding("manifest", False, message)
    return Finding("manifest", True, f"{message} {_naming_message(naming)}", naming.payload_id, _CRYPTOGRAPHIC)


def _watermark(signs: Signs) -> Finding:
    naming = signs.mark_naming
    if naming is None:
        return Finding("watermark", False, "No mark of ours can be read.")
    mark = "A mark of ours, too faint to be read by itself." if signs.mark_faint else "A mark of ours."
    message = f"{mark} {_naming_message(naming)}"
    return Finding("watermark", True, message, naming.payload_id, signs.mark_false_positive)


def _naming_message(naming: Naming) -> str:
    if naming.image is None:
        return "It names a picture that is not registered."
    return {
        Likeness.SAME: "It names a registered picture that looks the same.",
        Likeness.PART: "It names a registered picture of which this shows a part.",
        Likeness.DIFFERENT: "It names a registered picture that looks different.",
    }[naming.likeness]


def _signature(signs: Signs) -> Finding:
    if signs.signature:
        return Finding("signature", True, "The visible signature is there; anyone can draw it.", "", _UNSEEN)
    return Finding("signature", False, "The visible signature is not there.")
