"""gRPC ↔ the analysts' desk."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from portcullis.v1 import review_pb2 as pb
from portcullis.v1 import review_pb2_grpc as stubs
from services.core.errors import InvalidInput, Unavailable
from services.core.rpc import convert
from services.core.rpc.door import Context, current_caller
from services.core.staff import ROLES, Analyst
from services.core.store.claims import Claim
from services.core.store.review_items import Kind, Resolution, ReviewItem, State
from services.review import page_token
from services.review.clearing import Clearing
from services.review.desk import Content, ReviewDesk

DEFAULT_PAGE, LARGEST_PAGE = 50, 200
LONGEST_TEXT = 2000
QUEUE = re.compile(r"[a-z0-9_-]{1,64}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")

STATES: dict[pb.ItemState.ValueType, State] = {
    pb.ITEM_STATE_PENDING: "pending",
    pb.ITEM_STATE_QUEUED: "queued",
    pb.ITEM_STATE_CLAIMED: "claimed",
    pb.ITEM_STATE_DECIDED: "decided",
}
STATE_NUMBERS = {state: number for number, state in STATES.items()}
RESOLUTIONS: dict[pb.Resolution.ValueType, Resolution] = {
    pb.RESOLUTION_RELEASE: "release",
    pb.RESOLUTION_UPHOLD: "uphold",
}
KIND_NUMBERS: dict[Kind, pb.ItemKind.ValueType] = {
    "content": pb.ITEM_KIND_CONTENT,
    "report": pb.ITEM_KIND_REPORT,
    "appeal": pb.ITEM_KIND_APPEAL,
    "suspension": pb.ITEM_KIND_SUSPENSION,
}
RESOLUTION_NUMBERS = {resolution: number for number, resolution in RESOLUTIONS.items()}


class ReviewServicer(stubs.ReviewServiceServicer):
    """Translates; who calls is known from the certificate."""

    def __init__(self, desk: ReviewDesk, clearing: Clearing) -> None:
        self._desk = desk
        self._clearing = clearing

    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:
        """A page of items without their content."""
        if request.page_size > LARGEST_PAGE:
            raise InvalidInput("page_size", f"1 to {LARGEST_PAGE} items, or 0 for {DEFAULT_PAGE}")
        page = await self._desk.list_items(
            _analyst(),
            _queue(request.queue),
            _state(request.state),
            page_token.decode(request.page_token),
            request.page_size or DEFAULT_PAGE,
        )
        return pb.ListItemsResponse(
            items=[_item(item) for item in page.items], next_page_token=page_token.encode(page.end)
        )

    async def ClaimItem(self, request: pb.ClaimItemRequest, context: Context) -> pb.ClaimItemResponse:
        """One item, or the next one, with its content."""
        if request.item_id:
            return _claimed(*await self._desk.claim(_analyst(), _item_id(request.item_id)))
        return _claimed(*await self._desk.claim_next(_analyst(), _queue(request.queue)))

    async def RenewClaim(self, request: pb.RenewClaimRequest, context: Context) -> pb.RenewClaimResponse:
        """A longer lease."""
        expires = await self._desk.renew(_analyst(), _item_id(request.item_id), _token(request.claim_token))
        return pb.RenewClaimResponse(claim_expires_at=_timestamp(expires))

    async def ReleaseClaim(self, request: pb.ReleaseClaimRequest, context: Context) -> pb.ReleaseClaimResponse:
        """The item back to its queue."""
        reason = _text("reason", request.reason)
        await self._desk.release(_analyst(), _item_id(request.item_id), _token(request.claim_token), reason)
        return pb.ReleaseClaimResponse()

    async def DecideItem(self, request: pb.DecideItemRequest, context: Context) -> pb.DecideItemResponse:
        """The item decided."""
        resolution = RESOLUTIONS.get(request.resolution)
        if resolution is None:
            raise InvalidInput("resolution", "must be RELEASE or UPHOLD")
        comment = _text("comment", request.comment)
        item = await self._desk.decide(
            _analyst(), _item_id(request.item_id), _token(request.claim_token), resolution, comment
        )
        return pb.DecideItemResponse(item=_item(item))

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    def WatchItems(self, request: pb.WatchItemsRequest, context: Context) -> AsyncIterator[pb.WatchItemsResponse]:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def SkipItem(self, request: pb.SkipItemRequest, context: Context) -> pb.SkipItemResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def PreviewDecisions(
        self, request: pb.PreviewDecisionsRequest, context: Context
    ) -> pb.PreviewDecisionsResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def DecideItems(self, request: pb.DecideItemsRequest, context: Context) -> pb.DecideItemsResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def UndoDecision(self, request: pb.UndoDecisionRequest, context: Context) -> pb.UndoDecisionResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def CommentItem(self, request: pb.CommentItemRequest, context: Context) -> pb.CommentItemResponse:
        """Not built yet."""
        raise Unavailable("not built yet")

    async def ClearDecision(self, request: pb.ClearDecisionRequest, context: Context) -> pb.ClearDecisionResponse:
        """Clearances for what people released; for the gateway alone."""
        decision_id = _uuid("decision_id", request.decision_id)
        cleared = await self._clearing.clear(request.subject.tenant, request.subject.account, decision_id)
        return pb.ClearDecisionResponse(
            stops=[
                pb.ReleasedStop(
                    stage=convert.STAGE_NUMBERS[one.stop.stage], index=one.stop.output, clearance=one.clearance
                )
                for one in cleared
            ]
        )


def _analyst() -> Analyst:
    caller = current_caller()
    return Analyst(caller.name, frozenset(role for role in ROLES if role == caller.kind))


def _item_id(text: str) -> UUID:
    return _uuid("item_id", text)


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput(field, "must be a UUID") from error


def _queue(text: str) -> str | None:
    if text and not QUEUE.fullmatch(text):
        raise InvalidInput("queue", "1 to 64 characters of a-z, 0-9, _ and -, or empty for all")
    return text or None


def _state(number: pb.ItemState.ValueType) -> State | None:
    if number != pb.ITEM_STATE_UNSPECIFIED and number not in STATES:
        raise InvalidInput("state", f"is {number}; PENDING, QUEUED, CLAIMED, DECIDED, or unspecified for any")
    return STATES.get(number)


def _token(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise InvalidInput("claim_token", "pass the claim_token of ClaimItem, unchanged")
    return text


def _text(field: str, text: str) -> str:
    if len(text) > LONGEST_TEXT or "\x00" in text:
        raise InvalidInput(field, f"at most {LONGEST_TEXT} characters, none of them NUL")
    return text


def _claimed(claim: Claim, content: Content) -> pb.ClaimItemResponse:
    return pb.ClaimItemResponse(
        item=_item(claim.item),
        content=pb.CaseContent(
            prompt=content.prompt.decode(),
            negative_prompt=content.negative_prompt.decode(),
            image=content.image,
            mask=content.mask,
            statements=[statement.decode() for statement in content.statements],
        ),
        claim_token=claim.token,
    )


def _item(item: ReviewItem) -> pb.ReviewItem:
    return pb.ReviewItem(
        item_id=str(item.item_id),
        decision_id=str(item.decision_id),
        tenant=item.tenant,
        account=item.account,
        stage=convert.STAGE_NUMBERS[item.stage],
        verdict=convert.verdict_to_proto(item.verdict),
        reasons=[convert.reason_to_proto(reason) for reason in item.reasons],
        queue=item.queue,
        priority=item.priority,
        state=STATE_NUMBERS[item.state],
        created_at=_timestamp(item.created_at),
        due_at=_timestamp(item.due_at),
        claimed_by=item.claimed_by or "",
        claim_expires_at=_timestamp(item.claim_expires_at),
        resolution=RESOLUTION_NUMBERS[item.resolution] if item.resolution else pb.RESOLUTION_UNSPECIFIED,
        decided_by=item.decided_by or "",
        decided_at=_timestamp(item.decided_at),
        kind=KIND_NUMBERS[item.kind],
        tier=convert.TIERS[item.tier],
        turn_at=_timestamp(item.turn_at) if item.state != "pending" else None,
        case_head=str(item.leader or ""),
        effective_at=_timestamp(item.effective_at),
        batch_id=str(item.batch or ""),
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
