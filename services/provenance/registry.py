"""The registry's side of each call: what is recorded of a released picture, which records a found one touches, and
which picture no longer stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.core.errors import InvalidInput, NotFound
from services.core.policy.signature_rules import SignatureRules
from services.core.signals import Lineage
from services.core.store import events, images, policies, requests
from services.core.store.database import Connection, Database
from services.core.store.images import RegisteredImage
from services.provenance.examination import Examiner, Exhibit
from services.provenance.fingerprint import PDQ_RADIUS, Likeness
from services.provenance.inspect import Conclusion, Naming, Origin, Signs, conclude
from services.provenance.manifest_reader import ManifestFinding
from services.provenance.resemblance import Resemblance
from services.provenance.watermark.codec import RELIABLE


@dataclass(frozen=True, slots=True)
class _Records:
    exact: RegisteredImage | None
    by_manifest: RegisteredImage | None
    by_mark: RegisteredImage | None
    near: RegisteredImage | None


async def lineage(database: Database, tenant: str, parents: Sequence[UUID]) -> Lineage:
    """The lineage of a picture made from `parents`, nearest first: those and the nearest's own, one generation deeper.

    Raises InvalidInput where a parent is not a picture of this tenant.
    """
    async with database.transaction() as conn:
        found = [await images.get(conn, tenant, parent) for parent in parents]
    known = [image for image in found if image]
    if len(known) < len(found):
        raise InvalidInput("parents", "names a picture that is not registered for this tenant")
    if not known:
        return Lineage(depth=1, ancestors=())
    chain = dict.fromkeys([*parents, *known[0].parents])
    return Lineage(known[0].depth + 1, tuple(map(str, chain)))


async def withdraw(database: Database, image_id: UUID, withdrawn: bool) -> RegisteredImage:
    """Withdraws a picture with every stored answer that holds it, or takes that back; the tenant is told of a change.

    Raises NotFound where it is not registered.
    """
    async with database.transaction() as conn:
        image = await images.registered(conn, image_id)
        if image is None:
            raise NotFound("no such picture is registered", reason="IMAGE_UNKNOWN")
        if (image.withdrawn_at is not None) == withdrawn:
            return image
        await images.mark_withdrawn(conn, image_id, withdrawn)
        if withdrawn:
            await requests.drop_answers(conn, image.decision_id)
        what = "image.withdrawn" if withdrawn else "image.restored"
        await events.append(conn, what, str(image_id), tenant=image.tenant, decision=str(image.decision_id))
        changed = await images.registered(conn, image_id)
    assert changed is not None, "the row is locked by us"
    return changed


async def signature_rules(database: Database) -> SignatureRules:
    """What the policy in force says of the visible signature; Unavailable where that policy is not valid any more."""
    async with database.transaction() as conn:
        if await policies.active(conn) is None:
            return SignatureRules()
        return (await policies.load_active(conn)).document.signature


async def inspect(
    database: Database, examiner: Examiner, data: bytes, resemblance: Resemblance | None = None
) -> Conclusion:
    """The verdict on a file over all layers; raises InvalidInput on `image` where it is no picture.

    Where nothing was found, what an encoder finds alike is told beside it.
    """
    exhibit = await examiner.examine(data, await signature_rules(database))
    records = await _look_up(database, exhibit)
    restored = None
    if records.exact and records.exact.sha256 != exhibit.sha256:
        restored = await asyncio.to_thread(examiner.with_sidecar, exhibit, records.exact.manifest)
    faint = await asyncio.to_thread(_faint_mark, examiner, exhibit, records)
    conclusion = await asyncio.to_thread(_conclude, exhibit, records, restored, faint)
    if resemblance is None or conclusion.origin is not Origin.NOT_FOUND:
        return conclusion
    finding, resembles = await resemblance.find(database, exhibit.picture.rgb)
    return replace(conclusion, findings=(*conclusion.findings, finding), resembles=resembles)


def _faint_mark(examiner: Examiner, exhibit: Exhibit, records: _Records) -> float:
    """The probability of error with which a picture without a mark that can be read carries that of its look-alike."""
    if records.exact or exhibit.mark or records.near is None or not exhibit.confirms(records.near):
        return 1.0
    return examiner.faint_mark(exhibit, records.near)


async def _look_up(database: Database, exhibit: Exhibit) -> _Records:
    async with database.transaction() as conn:
        return _Records(
            exact=await images.by_sha256(conn, exhibit.sha256),
            by_manifest=await _by_payload(conn, exhibit.manifest.payload_id),
            by_mark=await _by_payload(conn, exhibit.mark_payload_id),
            near=await images.nearest(conn, exhibit.pdq, PDQ_RADIUS),
        )


async def _by_payload(conn: Connection, payload_id: str) -> RegisteredImage | None:
    return await images.by_payload(conn, bytes.fromhex(payload_id)) if payload_id else None


def _conclude(exhibit: Exhibit, records: _Records, restored: ManifestFinding | None, faint: float) -> Conclusion:
    conclusion = conclude(_signs(exhibit, records, restored, faint))
    if conclusion.origin is not Origin.OURS_ALTERED or conclusion.image is None:
        return conclusion
    return replace(conclusion, changes=exhibit.changes(conclusion.image))


def _signs(exhibit: Exhibit, records: _Records, restored: ManifestFinding | None, faint: float) -> Signs:
    near = records.near
    by_mark, payload_id = records.by_mark, exhibit.mark_payload_id
    if near and faint <= RELIABLE:
        by_mark, payload_id = near, near.payload_id.hex()
    return Signs(
        exact=records.exact,
        manifest=exhibit.manifest,
        restored=restored is not None and restored.state == "trusted",
        manifest_naming=_naming(exhibit, exhibit.manifest.payload_id, records.by_manifest),
        mark_naming=_naming(exhibit, payload_id, by_mark),
        mark_false_positive=exhibit.mark.false_positive if exhibit.mark else faint,
        mark_faint=exhibit.mark is None,
        near=near if near and exhibit.confirms(near) else None,
        signature=exhibit.signature,
    )


def _naming(exhibit: Exhibit, payload_id: str, image: RegisteredImage | None) -> Naming | None:
    if not payload_id:
        return None
    return Naming(payload_id, image, exhibit.likeness(image) if image else Likeness.DIFFERENT)
