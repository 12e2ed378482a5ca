"""One cleared picture, signed, watermarked, encoded and given its manifest: the CPU work of MarkImage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.core.errors import ConfigurationError
from services.core.imaging import Layers, OutputFormat, decode_rgb, encode, sanitise
from services.core.policy.signature_rules import SignatureRules
from services.core.store.images import RegisteredImage
from services.provenance import signature
from services.provenance.authority import WATERMARK_KEY_BYTES
from services.provenance.fingerprint import Fingerprint, fingerprint
from services.provenance.manifest import Release, Signed
from services.provenance.watermark.codec import Codec

Sign = Callable[[bytes, OutputFormat, Release, bytes | None], Signed]
Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Marked:
    """A picture ready for release. `sha256` is of `image`, `bare_sha256` of the file before its manifest was added;
    `width` and `height` are in pixels; `seen` is what an encoder saw in it, None where there is none.
    """

    image: bytes
    sidecar: bytes
    timestamped: bool
    sha256: bytes
    bare_sha256: bytes
    fingerprint: Fingerprint
    width: int
    height: int
    seen: NDArray[np.float32] | None


class Marker:
    """Marks pictures with one watermark key; `sign` is that of ManifestSigner or Keyring, `look` an encoder's."""

    def __init__(self, codec: Codec, sign: Sign, look: Look | None = None) -> None:
        self._codec = codec
        self._sign = sign
        self._look = look

    def mark(
        self, png: bytes, kind: OutputFormat, release: Release, parent: bytes | None, rules: SignatureRules
    ) -> Marked:
        """`png` is the cleared picture, which this house made itself; `parent` the upload that it was made from.

        Blocks for the length of the work: call it from a thread. InvalidInput where `parent` is no picture.
        """
        origin = sanitise(parent, field="parent_image").png if parent else None
        edited = release.operation == "edit"
        return self.mark_layers(Layers(decode_rgb(png), None), kind, release, origin, rules, edited=edited)

    def mark_layers(
        self,
        picture: Layers,
        kind: OutputFormat,
        release: Release,
        parent: bytes | None,
        rules: SignatureRules,
        *,
        edited: bool,
    ) -> Marked:
        """Marks what may be transparent: its alpha plane stays as it is; JPEG, which has none, shows it on white.

        `parent` is a PNG of ours; `edited` says that the picture may hold an earlier mark.
        """
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(release.payload_id), np.uint8))
        drawn, alpha = signature.draw(picture.rgb, rules), picture.alpha
        seen = on_white(drawn, alpha)
        marked = self._codec.embed(seen, bits, edited=edited)
        pixels = marked
        if alpha is not None and kind != "JPEG":
            colours = np.clip(drawn.astype(np.int16) + marked - seen, 0, 255).astype(np.uint8)
            pixels, marked = np.dstack([colours, alpha]), on_white(colours, alpha)
        bare = encode(pixels, kind)
        signed = self._sign(bare, kind, release, parent)
        height, width = marked.shape[:2]
        return Marked(
            signed.image,
            signed.sidecar,
            signed.timestamped,
            sha256(signed.image).digest(),
            sha256(bare).digest(),
            fingerprint(marked),
            width=width,
            height=height,
            seen=self._look(marked) if self._look else None,
        )


def recorded(
    release: Release, kind: OutputFormat, marked: Marked, tenant: str, decision_id: UUID, request_digest: str
) -> RegisteredImage:
    """What the registry keeps of a marked picture."""
    return RegisteredImage(
        image_id=UUID(release.image_id),
        tenant=tenant,
        decision_id=decision_id,
        payload_id=bytes.fromhex(release.payload_id),
        sha256=marked.sha256,
        pdq=marked.fingerprint.pdq,
        pdq_quality=marked.fingerprint.quality,
        phash=marked.fingerprint.phash,
        sketch=marked.fingerprint.sketch,
        width=marked.width,
        height=marked.height,
        format=kind,
        operation=release.operation,
        parents=tuple(map(UUID, release.lineage.ancestors)),
        depth=release.lineage.depth,
        model=release.model,
        policy=release.policy,
        request_digest=request_digest,
        manifest=marked.sidecar,
        bare_sha256=marked.bare_sha256,
    )


def on_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """What is seen of a picture on a white page; `alpha` None is opaque."""
    if alpha is None:
        return rgb
    cover = alpha[..., None].astype(np.float32) / 255
    return np.rint(rgb * cover + 255 * (1 - cover)).astype(np.uint8)


def load_codec(folder: Path) -> Codec:
    """The codec under watermark.key of a folder; it reads marks under watermark-*.key too, keys of earlier epochs.

    Raises ConfigurationError where a key cannot be read.
    """
    earlier = sorted(folder.glob("watermark-*.key"), reverse=True)
    return Codec(key=_load_key(folder / "watermark.key"), retired=[_load_key(path) for path in earlier])


def _load_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"no watermark key at {path}: start `portcullis up` once to make one") from error
    if len(key) != WATERMARK_KEY_BYTES:
        raise ConfigurationError(f"the watermark key at {path} must have {WATERMARK_KEY_BYTES} bytes")
    return key
