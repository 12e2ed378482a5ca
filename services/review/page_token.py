"""The place where a page of items ended, as the opaque text that the next call brings back."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from pydantic import TypeAdapter, ValidationError

from services.core.errors import InvalidInput
from services.core.store.review_items import Place

_PLACE = TypeAdapter(Place)


def encode(place: Place | None) -> str:
    """The token of a place, empty for None."""
    return "" if place is None else urlsafe_b64encode(_PLACE.dump_json(place)).decode()


def decode(token: str) -> Place | None:
    """The place of a token, None for an empty one; raises InvalidInput for what `encode` never made."""
    if not token:
        return None
    try:
        return _PLACE.validate_json(urlsafe_b64decode(token.encode()))
    except (ValueError, ValidationError) as error:
        raise InvalidInput("page_token", "pass the next_page_token of the page before, unchanged") from error
