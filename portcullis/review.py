"""The client of the analysts' desk: mutual TLS with the analyst's own certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self, TypeVar

import grpc

from portcullis.channel import OPTIONS, analyst_credentials
from portcullis.errors import from_rpc_error
from portcullis.profile import Profile, load_profile
from portcullis.v1.review_pb2 import (
    ClaimItemRequest,
    ClaimItemResponse,
    DecideItemRequest,
    ItemState,
    ListItemsRequest,
    ReleaseClaimRequest,
    Resolution,
    ReviewItem,
    WatchItemsRequest,
    WatchItemsResponse,
)
from portcullis.v1.review_pb2_grpc import ReviewServiceStub

_DEADLINE_SECONDS = 30.0
_WATCH_SECONDS = 110.0
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

    def list_items(self, *, queue: str, state: ItemState.ValueType) -> Iterator[ReviewItem]:
        """Every item of a queue (empty for all) in a state (UNSPECIFIED for any), first to look at first."""
        token = ""
        while True:
            page = self._ask(self._stub.ListItems, ListItemsRequest(queue=queue, state=state, page_token=token))
            yield from page.items
            if not (token := page.next_page_token):
                return

    def claim_item(self, item_id: str, *, queue: str) -> ClaimItemResponse:
        """Takes an item on lease, or the next one of a queue where `item_id` is empty; with its content."""
        return self._ask(self._stub.ClaimItem, ClaimItemRequest(item_id=item_id, queue=queue))

    def decide_item(self, item_id: str, claim_token: str, resolution: Resolution.ValueType, comment: str) -> ReviewItem:
        """Decides a claimed item; `comment` has up to 2,000 characters."""
        request = DecideItemRequest(item_id=item_id, claim_token=claim_token, resolution=resolution, comment=comment)
        return self._ask(self._stub.DecideItem, request).item

    def release_claim(self, item_id: str, claim_token: str, reason: str) -> None:
        """Gives a claimed item back, undecided."""
        self._ask(self._stub.ReleaseClaim, ReleaseClaimRequest(item_id=item_id, claim_token=claim_token, reason=reason))

    def watch_items(self, *, queue: str = "", cursor: int = 0) -> Iterator[WatchItemsResponse]:
        """What happens to items of a queue (empty for all) after `cursor` (0: from now on), without end.

        Calls again where a call ends by its deadline or because the server stops; nothing is missed in between.
        """
        while True:
            request = WatchItemsRequest(queue=queue, cursor=cursor)
            try:
                for change in self._stub.WatchItems(request, timeout=_WATCH_SECONDS, wait_for_ready=cursor > 0):
                    cursor = change.cursor
                    yield change
            except grpc.RpcError as error:
                if not (cursor and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise from_rpc_error(error) from None

    def _ask(self, call: Callable[..., _Response], request: object) -> _Response:
        try:
            return call(request, timeout=_DEADLINE_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
