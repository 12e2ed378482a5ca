"""The C2PA manifest of a released picture: who made it, from what, under which policy, and which mark it carries.

Never the prompt, never a thumbnail. Signed with ES256 or Ed25519, and timestamped where there is an authority for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import c2pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.core.errors import ConfigurationError, FailedPrecondition, Unavailable
from services.core.imaging import OutputFormat
from services.core.signals import Lineage, ModelVersion
from services.provenance import embedding, timestamp
from services.provenance.signing_key import Sign, belongs, cose_signature, leaf_key
from services.provenance.timestamp import TimestampAuthority

Operation = Literal["create", "edit", "variation"]

RELEASE_LABEL = "org.portcullis.release"
SOFT_BINDING = "org.portcullis.tile.2"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PARENT = "cleared-upload"
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_SETTINGS = {
    "version": 1,
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True, slots=True)
class Release:
    """What the manifest says of a picture. `payload_id` is 16 hex digits; `parameters` decide it beside the seed."""

    image_id: str
    payload_id: str
    operation: Operation
    lineage: Lineage
    model: ModelVersion
    policy: str
    clearance_id: str
    seed: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signed:
    """The picture with its manifest, the manifest alone, and whether it has a timestamp."""

    image: bytes
    sidecar: bytes
    timestamped: bool


class ManifestSigner:
    """Signs manifests with one chain. Safe to share between threads."""

    def __init__(
        self, chain: bytes, sign: Sign, authority: TimestampAuthority | None = None, detector_url: str = ""
    ) -> None:
        """`chain` is PEM, leaf first; `detector_url`, where anyone may ask about a picture, goes into the manifest.

        ConfigurationError where `sign` does not sign for the chain's leaf, Unavailable where it fails.
        """
        self._key = leaf_key(chain)
        if not belongs(sign, self._key):
            raise ConfigurationError("the signing key does not belong to the first certificate of the chain")
        self._sign = sign
        self._authority = authority
        self._detector_url = detector_url
        kind = c2pa.C2paSigningAlg.ED25519 if isinstance(self._key, Ed25519PublicKey) else c2pa.C2paSigningAlg.ES256
        try:
            # By callback always: it leaves room for a timestamp, which a signer made from a key does not.
            self._signer = c2pa.Signer.from_callback(self._answer, kind, chain.decode())
        except c2pa.C2paError as error:
            raise ConfigurationError("the manifest's signing chain cannot be used") from error
        self._context = c2pa.Context.from_dict(_SETTINGS)

    def sign(self, image: bytes, kind: OutputFormat, release: Release, parent: bytes | None) -> Signed:
        """The picture with a signed manifest; `parent` is the cleared upload (PNG) for edits and variations.

        Without a timestamp where none is to be had just now. Unavailable where it cannot be signed: nothing is
        released without its manifest.
        """
        target, definition = BytesIO(), _definition(release, parent is not None, self._detector_url)
        try:
            with c2pa.Builder(definition, context=self._context) as builder:
                if parent is not None:
                    ingredient = {"title": "upload", "relationship": "parentOf", "instance_id": _PARENT}
                    builder.add_ingredient_from_stream(ingredient, "image/png", BytesIO(parent))
                sidecar = builder.sign(self._signer, _MIMES[kind], BytesIO(image), target)
        except c2pa.C2paError as error:
            raise Unavailable("the manifest could not be signed; has the certificate expired?") from error
        return self._stamped(Signed(target.getvalue(), sidecar, timestamped=False), kind)

    def _stamped(self, signed: Signed, kind: OutputFormat) -> Signed:
        if self._authority is None:
            return signed
        try:
            sidecar = timestamp.stamp(signed.sidecar, self._authority.token)
        except (Unavailable, FailedPrecondition):
            return signed
        return Signed(embedding.replace(signed.image, kind, signed.sidecar, sidecar), sidecar, timestamped=True)

    def _answer(self, data: bytes) -> bytes:
        try:
            return cose_signature(self._sign(data), self._key)
        except (Unavailable, ValueError):  # told by the library as a signature that is missing
            return b""


def _definition(release: Release, has_parent: bool, detector_url: str) -> dict[str, Any]:
    binding = {"alg": SOFT_BINDING, "blocks": [{"scope": {}, "value": release.payload_id}]}
    facts = {
        "image_id": release.image_id,
        "operation": release.operation,
        "depth": release.lineage.depth,
        "ancestors": list(release.lineage.ancestors),
        "model": {"name": release.model.name, "version": release.model.version, "sha256": release.model.digest},
        "seed": release.seed,
        "parameters": dict(release.parameters),
        "policy": release.policy,
        "clearance": release.clearance_id,
    }
    if detector_url:
        facts["detector"] = detector_url
    return {
        "claim_generator_info": [{"name": "Portcullis"}],
        "title": release.image_id,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": _actions(release, has_parent)}},
            {"label": "c2pa.soft-binding", "data": binding},
            {"label": RELEASE_LABEL, "data": facts},
        ],
    }


def _actions(release: Release, has_parent: bool) -> list[dict[str, Any]]:
    kind = "compositeWithTrainedAlgorithmicMedia" if release.operation == "edit" else "trainedAlgorithmicMedia"
    made = {
        "digitalSourceType": _SOURCE_TYPES + kind,
        "softwareAgent": {"name": release.model.name, "version": release.model.version},
    }
    marked = {"action": "c2pa.watermarked.bound"}
    if not has_parent:
        return [{"action": "c2pa.created", **made}, marked]
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}}
    return [opened, {"action": "c2pa.edited", **made}, marked]
