"""The C2PA manifest of a released picture: who made it, from what, under which policy, and which mark it carries.

Never the prompt, never a thumbnail. Signed with ES256 by the chain in the data home.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import c2pa

from services.core.errors import ConfigurationError, Unavailable
from services.core.signals import Lineage, ModelVersion

Mime = Literal["image/png", "image/jpeg", "image/webp"]
Operation = Literal["create", "edit", "variation"]

RELEASE_LABEL = "org.portcullis.release"
SOFT_BINDING = "org.portcullis.tile.1"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PARENT = "cleared-upload"
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
    """The picture with its manifest, and the manifest alone."""

    image: bytes
    sidecar: bytes


class ManifestSigner:
    """Signs manifests with one key. Safe to share between threads."""

    def __init__(self, chain: bytes, key: bytes) -> None:
        """PEM bytes; raises ConfigurationError where they make no signer."""
        try:
            info = c2pa.C2paSignerInfo(b"es256", chain, key, None)
            self._signer = c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise ConfigurationError("the manifest's signing chain or key cannot be used") from error
        self._context = c2pa.Context.from_dict(_SETTINGS)

    @classmethod
    def load(cls, folder: Path) -> ManifestSigner:
        """Read chain.pem and key.pem; raises ConfigurationError where it cannot."""
        try:
            return cls((folder / "chain.pem").read_bytes(), (folder / "key.pem").read_bytes())
        except OSError as error:
            raise ConfigurationError(f"no signing chain in {folder}: start `portcullis up` once to make one") from error

    def sign(self, image: bytes, mime: Mime, release: Release, parent: bytes | None) -> Signed:
        """The picture with a signed manifest; `parent` is the cleared upload (PNG) for edits and variations.

        Unavailable where it cannot be signed: nothing is released without its manifest.
        """
        target = BytesIO()
        try:
            with c2pa.Builder(_definition(release, parent is not None), context=self._context) as builder:
                if parent is not None:
                    ingredient = {"title": "upload", "relationship": "parentOf", "instance_id": _PARENT}
                    builder.add_ingredient_from_stream(ingredient, "image/png", BytesIO(parent))
                sidecar = builder.sign(self._signer, mime, BytesIO(image), target)
        except c2pa.C2paError as error:
            raise Unavailable("the manifest could not be signed; has the certificate expired?") from error
        return Signed(target.getvalue(), sidecar)


def _definition(release: Release, has_parent: bool) -> dict[str, Any]:
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
