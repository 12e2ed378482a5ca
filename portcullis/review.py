"""The client of the analysts' desk: mutual TLS with the analyst's own certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Self, TypeVar

import grpc

from portcullis.channel import OPTIONS, analyst_credentials
from portcullis.errors import from_rpc_error
from portcullis.profile import Profile, load_profile
from portcullis.v1 import review_pb2 as pb
from portcullis.v1.review_pb2 import (
    ClaimItemResponse,
    DecideItemsResponse,
    GetItemResponse,
    ItemComment,
    ItemKind,
    ItemState,
    PreviewDecisionsResponse,
    Resolution,
    ReviewItem,
)
from portcullis.v1.review_pb2_grpc import ReviewServiceStub

_DEADLINE_SECONDS = 30.0
_Response = TypeVar("_Response")


class ReviewClient:
    """One analyst at the desk. Every call raises PortcullisError when it fails."""

    def __init__(self, profile: Profile | None = None) -> None:
        """Connects as `profile` says, or as this environment does."""
        profile = profile or load_profile()
        self._channel = grpc.secure_channel(profile.review_address, analyst_credentials(profile), OPTIONS)
        self._stub = ReviewServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def list_items(
        self, *, queue: str, state: ItemState.ValueType, kind: ItemKind.ValueType = ItemKind.ITEM_KIND_UNSPECIFIED
    ) -> Iterator[ReviewItem]:
        """Every item of a queue (empty for all), state and kind (UNSPECIFIED for any), first to look at first."""
        token = ""
        while True:
            request = pb.ListItemsRequest(queue=queue, state=state, kind=kind, page_token=token)
            page = self._ask(self._stub.ListItems, request)
            yield from page.items
            if not (token := page.next_page_token):
                return

    def get_item(self, item_id: str) -> GetItemResponse:
        """One item with its comments and the others of its case, without its content."""
        return self._ask(self._stub.GetItem, pb.GetItemRequest(item_id=item_id))

    def claim_item(self, item_id: str, *, queue: str) -> ClaimItemResponse:
        """Takes an item on lease, or the next one of a queue where `item_id` is empty; with its content."""
        return self._ask(self._stub.ClaimItem, pb.ClaimItemRequest(item_id=item_id, queue=queue))

    def renew_claim(self, item_id: str, claim_token: str) -> datetime:
        """Extends one's lease and returns its new end (UTC, without a zone)."""
        request = pb.RenewClaimRequest(item_id=item_id, claim_token=claim_token)
        return self._ask(self._stub.RenewClaim, request).claim_expires_at.ToDatetime()

    def decide_item(
        self,
        item_id: str,
        claim_token: str,
        resolution: Resolution.ValueType,
        comment: str,
        *,
        also: Sequence[str] = (),
    ) -> ReviewItem:
        """Decides a claimed item and those of its case that are named; `comment` has up to 2,000 characters.

        What another person must look at too is queued again, and not decided; `batch_id` takes it back either way.
        """
        request = pb.DecideItemRequest(
            item_id=item_id, claim_token=claim_token, resolution=resolution, comment=comment, also=also
        )
        return self._ask(self._stub.DecideItem, request).item

    def release_claim(self, item_id: str, claim_token: str, reason: str) -> None:
        """Gives a claimed item back, undecided."""
        request = pb.ReleaseClaimRequest(item_id=item_id, claim_token=claim_token, reason=reason)
        self._ask(self._stub.ReleaseClaim, request)

    def skip_item(self, item_id: str, claim_token: str, reason: str) -> None:
        """Gives a claimed item back for somebody else; `reason` has 1 … 2,000 characters."""
        self._ask(self._stub.SkipItem, pb.SkipItemRequest(item_id=item_id, claim_token=claim_token, reason=reason))

    def comment_item(self, item_id: str, text: str) -> ItemComment:
        """Adds a comment of 1 … 2,000 characters, which never changes."""
        return self._ask(self._stub.CommentItem, pb.CommentItemRequest(item_id=item_id, text=text)).comment

    def preview_decisions(self, item_ids: Sequence[str]) -> PreviewDecisionsResponse:
        """What a decision of 1 … 500 items at once would meet; for seniors and leads."""
        return self._ask(self._stub.PreviewDecisions, pb.PreviewDecisionsRequest(item_ids=item_ids))

    def decide_items(self, preview_token: str, resolution: Resolution.ValueType, comment: str) -> DecideItemsResponse:
        """Decides what was previewed and has not moved since; `comment` has 1 … 2,000 characters."""
        request = pb.DecideItemsRequest(preview_token=preview_token, resolution=resolution, comment=comment)
        return self._ask(self._stub.DecideItems, request)

    def undo_decision(self, batch_id: str) -> Sequence[ReviewItem]:
        """Takes back one's own decision before it takes effect; the items that wait again."""
        return self._ask(self._stub.UndoDecision, pb.UndoDecisionRequest(batch_id=batch_id)).items

    def _ask(self, call: Callable[..., _Response], request: object) -> _Response:
        try:
            return call(request, timeout=_DEADLINE_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
