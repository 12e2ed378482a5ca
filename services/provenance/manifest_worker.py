"""The process that reads manifests of strangers: native code on hostile bytes, so it holds no secrets and may die.

Only the state `Trusted` against the one CA that comes with the request counts; an attacker's chain with the same names
reads as `Valid`. Nothing is fetched over the network.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import c2pa

from services.core.apart import Message, confine, serve

MEMORY_BYTES = 2 << 30
_USAGES = "1.3.6.1.4.1.62558.2.1"
_RELEASE = "org.portcullis.release"
_SOFT_BINDING = "c2pa.soft-binding"
# Failures of a manifest that is ours but stands on other content.
_CONTENT_CHANGED = {"assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}


@lru_cache(maxsize=2)
def _context(authority: bytes) -> c2pa.Context:
    return c2pa.Context.from_dict(
        {
            "version": 1,
            "trust": {"trust_anchors": authority.decode(), "trust_config": _USAGES},
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )


def answer(head: dict[str, Any], bodies: Sequence[bytes]) -> Message:
    """`state` is absent, unreadable, foreign, changed or trusted; with the last two, what the manifest claims."""
    authority, image = bodies
    signal.setitimer(signal.ITIMER_REAL, head["seconds"])
    try:
        with c2pa.Reader(head["mime"], BytesIO(image), context=_context(authority)) as reader:
            return _judge(reader), []
    except c2pa.C2paError.ManifestNotFound:
        return {"state": "absent"}, []
    except c2pa.C2paError:
        return {"state": "unreadable"}, []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _judge(reader: c2pa.Reader) -> dict[str, Any]:
    results = (reader.get_validation_results() or {}).get("activeManifest", {})
    passed = {entry["code"] for entry in results.get("success", [])}
    failed = {entry["code"] for entry in results.get("failure", [])}
    if reader.get_validation_state() == "Trusted":
        state = "trusted"
    elif {"signingCredential.trusted", "claimSignature.validated"} <= passed and failed and failed <= _CONTENT_CHANGED:
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
