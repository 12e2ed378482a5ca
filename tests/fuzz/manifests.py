"""Any bytes as a picture with a C2PA manifest, and as a manifest that stands apart.

The helper's own code in this process: a finding has one of five states, and whatever is called ours names the picture
that was signed. Another exception, a hang of five seconds or a pile of memory is a finding.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from services.core.imaging import OutputFormat, encode
from services.core.signals import Lineage, ModelVersion
from services.provenance.authority import make_chain
from services.provenance.manifest import ManifestSigner, Release
from services.provenance.manifest_worker import answer
from services.provenance.signing_key import sign_with_key

WATCHED = ("services.provenance",)
_KINDS: dict[bytes, OutputFormat] = {b"P": "PNG", b"J": "JPEG", b"W": "WEBP"}
_RELEASE = Release(
    image_id="6b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11",
    payload_id="00112233aabbccdd",
    operation="create",
    lineage=Lineage(1, ()),
    model=ModelVersion("scenes", "1", "ab" * 32),
    policy="cd" * 32,
    clearance_id="a clearance",
    seed=7,
    parameters={},
)
_AUTHORITY, _CHAIN, _KEY = make_chain("Portcullis development", datetime.now(UTC))
_PIXELS = np.random.default_rng(1).integers(0, 255, (24, 24, 3)).astype(np.uint8)
_STATES = {"absent", "unreadable", "foreign", "changed", "trusted"}


def taken(data: bytes) -> bool:
    """A file, of the kind that its first letter says; or, after a small letter, a manifest for a good file."""
    letter, rest = data[:1], data[1:]
    kind = _KINDS.get(letter.upper())
    if kind is None:
        return False
    apart = letter.islower()
    image, sidecar = (encode(_PIXELS, kind), rest) if apart else (rest, b"")
    head, _ = answer({"kind": kind, "seconds": 5.0}, [_AUTHORITY, b"", image, sidecar])
    assert head["state"] in _STATES
    ours = head["state"] in ("trusted", "changed")
    assert not ours or (head["image_id"], head["payload_id"]) == (_RELEASE.image_id, _RELEASE.payload_id)
    return ours


def seeds() -> dict[str, bytes]:
    """Signed pictures of each kind and their manifests; one without."""
    signer = ManifestSigner(_CHAIN, sign_with_key(_KEY))
    found: dict[str, bytes] = {"bad-plain": b"P" + encode(_PIXELS)}
    for letter, kind in _KINDS.items():
        signed = signer.sign(encode(_PIXELS, kind), kind, _RELEASE, None)
        found[f"signed-{kind}"] = letter + signed.image
        found[f"manifest-{kind}"] = letter.lower() + signed.sidecar
    return found
