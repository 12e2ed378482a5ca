"""gRPC ↔ provenance."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterator
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from portcullis.v1 import checks_pb2
from portcullis.v1 import provenance_pb2 as pb
from portcullis.v1 import provenance_pb2_grpc as stubs
from services.core import telemetry
from services.core.clearance import Claim, ClearanceVerifier, digest
from services.core.errors import InvalidInput
from services.core.imaging import OutputFormat
from services.core.rpc import convert
from services.core.rpc.door import Context
from services.core.store import images, timestamps
from services.core.store.database import Database
from services.provenance.examination import Examiner
from services.provenance.inspect import Conclusion, Finding
from services.provenance.manifest import Operation, Release
from services.provenance.marking import Marker, recorded
from services.provenance.registry import inspect, lineage, signature_rules, withdraw
from services.provenance.resemblance import NOTHING, Resemblance

_FORMATS: dict[checks_pb2.ImageFormat.ValueType, OutputFormat] = {
    checks_pb2.IMAGE_FORMAT_UNSPECIFIED: "PNG",
    checks_pb2.IMAGE_FORMAT_PNG: "PNG",
    checks_pb2.IMAGE_FORMAT_JPEG: "JPEG",
    checks_pb2.IMAGE_FORMAT_WEBP: "WEBP",
}
_OPERATIONS: dict[checks_pb2.Operation.ValueType, Operation] = {
    checks_pb2.OPERATION_CREATE: "create",
    checks_pb2.OPERATION_EDIT: "edit",
    checks_pb2.OPERATION_VARIATION: "variation",
}
PAYLOAD_BYTES = 8


class ProvenanceServicer(stubs.ProvenanceServiceServicer):
    """Marks cleared outputs, inspects found files, and withdraws what shall not stand."""

    def __init__(
        self,
        database: Database,
        verifier: ClearanceVerifier,
        marker: Marker,
        examiner: Examiner,
        resemblance: Resemblance | None = None,
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._marker = marker
        self._examiner = examiner
        self._resemblance = resemblance

    async def MarkImage(self, request: pb.MarkImageRequest, context: Context) -> pb.MarkImageResponse:
        """Verifies the clearance before anything else, and answers only once the picture is registered."""
        claim = self._verifier.verify(
            request.clearance,
            stage="output",
            tenant=request.subject.tenant,
            account=request.subject.account,
            digests={"image": digest(request.image), "request": request.request_digest},
        )
        decision_id = _uuid("decision_id", request.decision_id)
        release, kind = await self._plan(request, claim)
        rules, parent = await signature_rules(self._database), request.parent_image or None
        marked = await asyncio.to_thread(self._marker.mark, request.image, kind, release, parent, rules)
        record = recorded(release, kind, marked, request.subject.tenant, decision_id, request.request_digest)
        async with self._database.transaction() as conn:
            await images.insert(conn, record)
            if self._resemblance is not None and marked.seen is not None:
                await self._resemblance.register(conn, record, marked.seen)
            if not marked.timestamped:
                await timestamps.owe(conn, record.image_id)
        telemetry.MARKS.labels(record.operation).inc()
        return pb.MarkImageResponse(image=marked.image, provenance=convert.provenance_to_proto(record))

    async def _plan(self, request: pb.MarkImageRequest, claim: Claim) -> tuple[Release, OutputFormat]:
        operation, kind = _OPERATIONS.get(request.operation), _FORMATS.get(request.format)
        if operation is None:
            raise InvalidInput("operation", "must be CREATE, EDIT or VARIATION")
        if kind is None:
            raise InvalidInput("format", "must be PNG, JPEG or WEBP")
        if bool(request.parent_image) != (operation != "create"):
            raise InvalidInput("parent_image", "is needed for EDIT and VARIATION, and for these alone")
        parents = [_uuid("parents", parent) for parent in request.parents]
        release = Release(
            image_id=str(uuid.uuid4()),
            payload_id=secrets.token_hex(PAYLOAD_BYTES),
            operation=operation,
            lineage=await lineage(self._database, claim.tenant, parents),
            model=convert.model_from_proto(request.model),
            policy=claim.policy,
            clearance_id=claim.clearance_id,
            seed=request.seed,
            parameters=MessageToDict(request.parameters, preserving_proto_field_name=True),
        )
        return release, kind

    async def InspectImage(
        self, request: pb.ProvenanceServiceInspectImageRequest, context: Context
    ) -> pb.ProvenanceServiceInspectImageResponse:
        """All layers, one verdict; details only of the caller's own pictures."""
        conclusion = await inspect(self._database, self._examiner, request.image, self._resemblance)
        return pb.ProvenanceServiceInspectImageResponse(
            inspection=inspection_to_proto(conclusion, request.subject.tenant),
            image_id=str(conclusion.image.image_id) if conclusion.image else "",
            depth=conclusion.image.depth if conclusion.image else 0,
        )

    async def WithdrawImage(self, request: pb.WithdrawImageRequest, context: Context) -> pb.WithdrawImageResponse:
        """The registry changed; the same again changes nothing."""
        image = await withdraw(self._database, _uuid("image_id", request.image_id), request.withdrawn)
        return pb.WithdrawImageResponse(provenance=convert.provenance_to_proto(image))


def _uuid(field: str, value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise InvalidInput(field, "must be a UUID") from error


def inspection_to_proto(conclusion: Conclusion, tenant: str) -> pb.Inspection:
    """The answer; of another tenant's picture only that it is ours and whether it was withdrawn, never which or where
    it was changed.
    """
    image = conclusion.image
    findings = [_finding(finding, told=told) for finding, told in _told(conclusion, tenant)]
    origin = pb.Origin.ValueType(conclusion.origin)
    if image is None or image.tenant != tenant:
        return pb.Inspection(
            origin=origin,
            findings=findings,
            withdrawn=conclusion.withdrawn,
            false_positive_probability=conclusion.false_positive,
        )
    released = Timestamp()
    if image.created_at:
        released.FromDatetime(image.created_at)
    return pb.Inspection(
        origin=origin,
        findings=findings,
        provenance=convert.provenance_to_proto(image),
        decision_id=str(image.decision_id),
        released_at=released,
        lineage=checks_pb2.Lineage(depth=image.depth, ancestors=map(str, image.parents)),
        withdrawn=conclusion.withdrawn,
        false_positive_probability=conclusion.false_positive,
        changes=[checks_pb2.Box(x=box.x, y=box.y, w=box.w, h=box.h) for box in conclusion.changes],
    )


def _told(conclusion: Conclusion, tenant: str) -> Iterator[tuple[Finding, bool]]:
    """The findings, and whether this tenant is told whose payload id they hold. What another's picture is like is not
    told at all: who may ask how like often enough can draw it.
    """
    image, resembles = conclusion.image, conclusion.resembles
    for finding in conclusion.findings:
        if finding.layer == "embedding":
            own = resembles is not None and resembles.tenant == tenant
            yield (finding if own else NOTHING), own
        else:
            yield finding, image is not None and image.tenant == tenant


def _finding(finding: Finding, told: bool) -> pb.LayerFinding:
    return pb.LayerFinding(
        layer=finding.layer,
        found=finding.found,
        payload_id=finding.payload_id if told else "",
        message=finding.message,
        false_positive_probability=finding.false_positive,
    )
