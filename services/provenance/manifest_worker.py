"""The process that reads manifests of strangers: native code on hostile bytes, so it holds no secrets and may die.

Only the state `Trusted` against the CAs that come with the request counts; an attacker's chain with the same names
reads as `Valid`. Nothing is fetched over the network.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import c2pa

from services.core.apart import Message, confine, serve
from services.provenance.embedding import KINDS, embed

MEMORY_BYTES = 2 << 30
_CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"
_SIGNERS, _CLOCKS = "urn:portcullis:signers", "urn:portcullis:clocks"
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_RELEASE = "org.portcullis.release"
_SOFT_BINDING = "c2pa.soft-binding"
# Failures of a manifest that is ours but stands on other content.
_CONTENT_CHANGED = {"assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}


@lru_cache(maxsize=2)
def _context(authorities: bytes, time_roots: bytes) -> c2pa.Context:
    anchors = [
        {"trust_anchors": authorities.decode(), "trust_kind": "manifest", "trust_uri": _SIGNERS}
        | {"trust_config": _CLAIM_SIGNING}
    ]
    if time_roots:
        anchors.append({"trust_anchors": time_roots.decode(), "trust_kind": "tsa", "trust_uri": _CLOCKS})
    return c2pa.Context.from_dict(
        {
            "version": 1,
            "trust": {"anchors": anchors},
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )


def answer(head: dict[str, Any], bodies: Sequence[bytes]) -> Message:
    """`state` is absent, unreadable, foreign, changed or trusted; with the last two, what the manifest claims."""
    authorities, time_roots, image, sidecar = bodies
    signal.setitimer(signal.ITIMER_REAL, head["seconds"])
    try:
        return _read(_context(authorities, time_roots), head["kind"], image, sidecar), []
    except c2pa.C2paError.ManifestNotFound:
        return {"state": "absent"}, []
    except c2pa.C2paError:
        return {"state": "unreadable"}, []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _read(context: c2pa.Context, kind: str, image: bytes, sidecar: bytes) -> dict[str, Any]:
    with c2pa.Reader(_MIMES[kind], BytesIO(image), sidecar or None, context=context) as reader:
        finding = _judge(reader)
        if not sidecar or finding["state"] != "changed":
            return finding
        place = _place(reader)
    if place is None or kind not in KINDS:
        return finding
    return _reread(context, kind, embed(image, kind, sidecar, place)) or finding


def _reread(context: c2pa.Context, kind: str, whole: bytes) -> dict[str, Any] | None:
    """The finding for a file that has its manifest again; None where it is not the file that was signed."""
    try:
        with c2pa.Reader(_MIMES[kind], BytesIO(whole), context=context) as reader:
            finding = _judge(reader)
    except c2pa.C2paError:
        return None
    return finding if finding["state"] == "trusted" else None


def _place(reader: c2pa.Reader) -> int | None:
    """The byte at which the manifest stood in the file that was signed."""
    store = json.loads(reader.detailed_json())
    hashed = store["manifests"][store["active_manifest"]]["assertion_store"].get("c2pa.hash.data", {})
    exclusions = hashed.get("exclusions", [])
    return exclusions[0]["start"] if len(exclusions) == 1 else None


def _judge(reader: c2pa.Reader) -> dict[str, Any]:
    results = (reader.get_validation_results() or {}).get("activeManifest", {})
    passed = {entry["code"]: entry.get("explanation", "") for entry in results.get("success", [])}
    failed = {entry["code"] for entry in results.get("failure", [])}
    # The library lets any anchor vouch for a signer, one of timestamps too: it must be one of ours.
    if f"[{_SIGNERS}]" not in passed.get("signingCredential.trusted", ""):
        return {"state": "foreign"}
    if reader.get_validation_state() == "Trusted":
        state = "trusted"
    elif "claimSignature.validated" in passed and failed and failed <= _CONTENT_CHANGED:
        state = "changed"
    else:
        return {"state": "foreign"}
    assertions = {entry["label"]: entry["data"] for entry in (reader.get_active_manifest() or {})["assertions"]}
    if _RELEASE not in assertions or _SOFT_BINDING not in assertions:
        return {"state": "foreign"}
    return {
        "state": state,
        "image_id": assertions[_RELEASE]["image_id"],
        "payload_id": assertions[_SOFT_BINDING]["blocks"][0]["value"],
    }


if __name__ == "__main__":
    confine(MEMORY_BYTES)
    serve(answer, hello={})
