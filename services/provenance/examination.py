"""What a found file shows by itself, before the registry is asked: the CPU work of InspectImage."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from services.core.imaging import sanitise
from services.core.store.images import RegisteredImage
from services.provenance import signature
from services.provenance.fingerprint import Likeness, Look, compare, confirms, pdq_orientations
from services.provenance.manifest_reader import ManifestFinding, ManifestReader
from services.provenance.watermark.codec import Codec, Reading


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """A file under examination: its pixels, sRGB; sha256 of the file; PDQ in eight orientations; what its marks say."""

    rgb: NDArray[np.uint8]
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
        return compare(self.rgb, self.mark.plane if self.mark else None, _look(image))

    def confirms(self, image: RegisteredImage) -> bool:
        """Whether a registered picture that PDQ found may be called a look-alike."""
        return confirms(self.rgb, _look(image))


class Examiner:
    """Examines files of strangers; pictures are decoded, and manifests read, in processes apart."""

    def __init__(self, codec: Codec, manifests: ManifestReader) -> None:
        self._codec = codec
        self._manifests = manifests

    def examine(self, data: bytes) -> Exhibit:
        """Raises InvalidInput on `image` where it is no picture that may be opened. Blocks: call it from a thread."""
        picture = sanitise(data)
        return Exhibit(
            rgb=picture.rgb,
            sha256=sha256(data).digest(),
            pdq=pdq_orientations(picture.rgb),
            manifest=self._manifests.read(data, picture.format),
            mark=self._codec.read(picture.rgb),
            signature=signature.detect(picture.rgb),
        )


def _look(image: RegisteredImage) -> Look:
    return Look(image.pdq, image.pdq_quality, image.sketch, image.width, image.height)
