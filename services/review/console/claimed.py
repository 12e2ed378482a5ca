"""The proof of a claim in the browser's keeping: a cookie for each case, out of reach of scripts, as long as its lease.

The table holds the sha256 of a claim's token alone, and so does nothing else of ours.
"""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from services.core.errors import Aborted
from services.review.console.door import Call

PREFIX = "__Host-claim-"


def token_of(call: Call, item_id: UUID) -> str:
    """The token that this browser has for a case; raises Aborted where it has none."""
    token = call.request.cookies.get(PREFIX + str(item_id), "")
    if not token:
        raise Aborted("you do not hold this item (any more); claim it again", reason="CLAIM_LOST")
    return token


def keep(call: Call, response: Response, item_id: UUID, token: str) -> Response:
    """Gives the browser a token for as long as the lease; again with each renewal."""
    seconds = int(call.console.review.claim_seconds)
    response.set_cookie(PREFIX + str(item_id), token, seconds, path="/", secure=True, httponly=True, samesite="strict")
    return response


def drop(response: Response, item_id: UUID) -> Response:
    """Takes it away again, once the case is out of one's hands."""
    response.delete_cookie(PREFIX + str(item_id), path="/", secure=True, httponly=True, samesite="strict")
    return response
