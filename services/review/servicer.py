"""gRPC ↔ the analysts' desk."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from portcullis.v1 import review_pb2 as pb
from portcullis.v1 import review_pb2_grpc as stubs
from services.core.errors import InvalidInput
from services.core.rpc import convert
from services.core.rpc.door import Context, current_caller
from services.core.staff import ROLES, Analyst
from services.core.store.bulk import MOST_ITEMS
from services.core.store.claims import Claim
from services.core.store.comments import Comment
from services.core.store.review_items import Kind, Resolution, ReviewItem, State
from services.review import page_token
from services.review.clearing import Clearing
from services.review.desk import Content, ReviewDesk, Shown
from services.review.watch import Watch

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
KINDS = {number: kind for kind, number in KIND_NUMBERS.items()}
RESOLUTION_NUMBERS = {resolution: number for number, resolution in RESOLUTIONS.items()}


class ReviewServicer(stubs.ReviewServiceServicer):
    """Translates; who calls is known from the certificate."""

    def __init__(self, desk: ReviewDesk, clearing: Clearing, watch: Watch) -> None:
        self._desk = desk
        self._clearing = clearing
        self._watch = watch

    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:
        """A page of items without their content."""
        if request.page_size > LARGEST_PAGE:
            raise InvalidInput("page_size", f"1 to {LARGEST_PAGE} items, or 0 for {DEFAULT_PAGE}")
        page = await self._desk.list_items(
            _analyst(),
            _queue(request.queue),
            _state(request.state),
            _kind(request.kind),
            page_token.decode(request.page_token),
            request.page_size or DEFAULT_PAGE,
        )
        return pb.ListItemsResponse(
            items=[_shown(one) for one in page.items], next_page_token=page_token.encode(page.end)
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
        """The item decided, or waiting for another person."""
        item = await self._desk.decide(
            _analyst(),
            _item_id(request.item_id),
            _token(request.claim_token),
            _resolution(request.resolution),
            _text("comment", request.comment),
            _ids("also", request.also, least=0),
        )
        return pb.DecideItemResponse(item=_item(item))

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        """The item, its comments, and those of its case."""
        sight = await self._desk.look(_analyst(), _item_id(request.item_id))
        return pb.GetItemResponse(
            item=_shown(sight.shown),
            comments=[_comment(comment) for comment in sight.comments],
            case_items=[_shown(other) for other in sight.others],
        )

    async def WatchItems(self, request: pb.WatchItemsRequest, context: Context) -> AsyncIterator[pb.WatchItemsResponse]:
        """What happens to items, as it happens."""
        queue, cursor = _queue(request.queue), request.cursor
        if not cursor:
            cursor = await self._watch.now()
            yield pb.WatchItemsResponse(event="now", cursor=cursor)
        async with aclosing(self._watch.changes(_analyst(), queue, cursor)) as changes:
            async for change in changes:
                yield pb.WatchItemsResponse(
                    item=_item(change.item, change.case_size), event=change.name, cursor=change.cursor
                )

    async def SkipItem(self, request: pb.SkipItemRequest, context: Context) -> pb.SkipItemResponse:
        """The item back to its queue, for somebody else."""
        reason = _text("reason", request.reason, least=1)
        await self._desk.skip(_analyst(), _item_id(request.item_id), _token(request.claim_token), reason)
        return pb.SkipItemResponse()

    async def PreviewDecisions(
        self, request: pb.PreviewDecisionsRequest, context: Context
    ) -> pb.PreviewDecisionsResponse:
        """What a bulk decision would meet."""
        preview, shown = await self._desk.preview(_analyst(), _ids("item_ids", request.item_ids, least=1))
        return pb.PreviewDecisionsResponse(
            items=[_shown(one) for one in shown],
            left_out=[str(item_id) for item_id in preview.left_out],
            preview_token=preview.token,
        )

    async def DecideItems(self, request: pb.DecideItemsRequest, context: Context) -> pb.DecideItemsResponse:
        """What was previewed, decided."""
        done = await self._desk.decide_many(
            _analyst(),
            _token(request.preview_token, "preview_token", "PreviewDecisions"),
            _resolution(request.resolution),
            _text("comment", request.comment, least=1),
        )
        return pb.DecideItemsResponse(
            batch_id=str(done.batch),
            items=[_item(item) for item in done.items],
            left_out=[str(item_id) for item_id in done.left_out],
        )

    async def UndoDecision(self, request: pb.UndoDecisionRequest, context: Context) -> pb.UndoDecisionResponse:
        """The items that wait again."""
        items = await self._desk.undo(_analyst(), _uuid("batch_id", request.batch_id))
        return pb.UndoDecisionResponse(items=[_item(item) for item in items])

    async def CommentItem(self, request: pb.CommentItemRequest, context: Context) -> pb.CommentItemResponse:
        """The comment as it was kept."""
        text = _text("text", request.text, least=1)
        return pb.CommentItemResponse(
            comment=_comment(await self._desk.comment(_analyst(), _item_id(request.item_id), text))
        )

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


def _ids(field: str, texts: Sequence[str], *, least: int) -> list[UUID]:
    if not least <= len(texts) <= MOST_ITEMS:
        raise InvalidInput(field, f"has {len(texts)} ids; {least} to {MOST_ITEMS} are allowed")
    return [_uuid(field, text) for text in texts]


def _resolution(number: pb.Resolution.ValueType) -> Resolution:
    resolution = RESOLUTIONS.get(number)
    if resolution is None:
        raise InvalidInput("resolution", "must be RELEASE or UPHOLD")
    return resolution


def _queue(text: str) -> str | None:
    if text and not QUEUE.fullmatch(text):
        raise InvalidInput("queue", "1 to 64 characters of a-z, 0-9, _ and -, or empty for all")
    return text or None


def _state(number: pb.ItemState.ValueType) -> State | None:
    if number != pb.ITEM_STATE_UNSPECIFIED and number not in STATES:
        raise InvalidInput("state", f"is {number}; PENDING, QUEUED, CLAIMED, DECIDED, or unspecified for any")
    return STATES.get(number)


def _kind(number: pb.ItemKind.ValueType) -> Kind | None:
    if number != pb.ITEM_KIND_UNSPECIFIED and number not in KINDS:
        raise InvalidInput("kind", f"is {number}; CONTENT, REPORT, APPEAL, SUSPENSION, or unspecified for any")
    return KINDS.get(number)


def _token(text: str, field: str = "claim_token", source: str = "ClaimItem") -> str:
    if not TOKEN.fullmatch(text):
        raise InvalidInput(field, f"pass the {field} of {source}, unchanged")
    return text


def _text(field: str, text: str, least: int = 0) -> str:
    """What a person wrote, as it is: markup in it is text like any other, and whoever shows it escapes it."""
    if len(text) > LONGEST_TEXT or len(text.strip()) < least or "\x00" in text:
        raise InvalidInput(
            field, f"has {len(text):,} characters; {least} to {LONGEST_TEXT:,} are allowed, none of them NUL"
        )
    return text


def _claimed(claim: Claim, content: Content) -> pb.ClaimItemResponse:
    return pb.ClaimItemResponse(
        item=_item(claim.item, claim.case_size),
        content=pb.CaseContent(
            prompt=content.prompt.decode(),
            negative_prompt=content.negative_prompt.decode(),
            image=content.image,
            mask=content.mask,
            statements=[statement.decode() for statement in content.statements],
        ),
        claim_token=claim.token,
    )


def _shown(one: Shown) -> pb.ReviewItem:
    return _item(one.item, one.case_size)


def _comment(comment: Comment) -> pb.ItemComment:
    return pb.ItemComment(author=comment.author, text=comment.text, created_at=_timestamp(comment.created_at))


def _item(item: ReviewItem, case_size: int = 1) -> pb.ReviewItem:
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
        case_size=case_size,
        # One that waits has none to show: it would tell that somebody has judged it.
        effective_at=_timestamp(item.effective_at) if item.state == "decided" else None,
        batch_id=str(item.batch or ""),
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
