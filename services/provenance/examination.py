"""What a found file shows by itself, before the registry is asked: the CPU work of InspectImage."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from services.core.imaging import sanitise
from services.core.imaging_formats import ImageFormat
from services.core.policy.signature_rules import SignatureRules
from services.core.signals import Box
from services.core.store.images import RegisteredImage
from services.provenance import signature
from services.provenance.changes import changed_boxes
from services.provenance.fingerprint import Likeness, Look, compare, confirms, pdq_orientations
from services.provenance.manifest_reader import ManifestFinding, ManifestReader
from services.provenance.watermark.codec import Codec, Reading


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A file that was opened: its bytes, pixels (sRGB), format, and upright width and height in the file."""

    data: bytes
    rgb: NDArray[np.uint8]
    format: ImageFormat
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """A file under examination: the picture; sha256 of the file; PDQ in eight orientations; what its marks say."""

    picture: Picture
    sha256: bytes
    pdq: tuple[bytes, ...]
    manifest: ManifestFinding
    mark: Reading | None
    signature: bool

    @property
    def mark_payload_id(self) -> str:
        """The id that the watermark carries, 16 hex digits, empty where there is no mark."""
        return np.packbits(self.mark.bits).tobytes().hex() if self.mark else ""

    def likeness(self, image: RegisteredImage) -> Likeness:
        """How this compares with a registered picture."""
        return compare(self.picture.rgb, self.mark.plane if self.mark else None, _look(image))

    def confirms(self, image: RegisteredImage) -> bool:
        """Whether a registered picture that PDQ found may be called a look-alike."""
        return confirms(self.picture.rgb, _look(image))

    def changes(self, image: RegisteredImage) -> tuple[Box, ...]:
        """Where this differs from a registered picture of which it is a whole copy; empty where it is none."""
        if self.likeness(image) is not Likeness.SAME:
            return ()
        return changed_boxes(self.picture.rgb, image.sketch, self.picture.size)


class Examiner:
    """Examines files of strangers; pictures are decoded, and manifests read, in processes apart."""

    def __init__(self, codec: Codec, manifests: ManifestReader) -> None:
        self._codec = codec
        self._manifests = manifests

    async def examine(self, data: bytes, rules: SignatureRules) -> Exhibit:
        """All layers at once; raises InvalidInput on `image` where it is no picture that may be opened."""
        found = await asyncio.to_thread(sanitise, data)
        picture = Picture(data, found.rgb, found.format, found.original)
        manifest, mark, pdq, signed = await asyncio.gather(
            asyncio.to_thread(self._manifests.read, data, picture.format),
            asyncio.to_thread(self._codec.read, picture.rgb),
            asyncio.to_thread(pdq_orientations, picture.rgb),
            asyncio.to_thread(signature.detect, picture.rgb, rules),
        )
        return Exhibit(picture, sha256(data).digest(), pdq, manifest, mark, signed)

    def faint_mark(self, exhibit: Exhibit, image: RegisteredImage) -> float:
        """How likely a picture without the mark of a registered one fits it as well as this. Blocks, up to seconds."""
        bits = np.unpackbits(np.frombuffer(image.payload_id, np.uint8))
        return self._codec.confirm(exhibit.picture.rgb, bits)

    def with_sidecar(self, exhibit: Exhibit, sidecar: bytes) -> ManifestFinding:
        """What the manifest that the registry keeps says of a file that was stripped of it. Blocks, up to seconds."""
        return self._manifests.read(exhibit.picture.data, exhibit.picture.format, sidecar)


def _look(image: RegisteredImage) -> Look:
    return Look(image.pdq, image.pdq_quality, image.sketch, image.width, image.height)
