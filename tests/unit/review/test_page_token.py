from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.core.store.review_items import Place
from services.review import page_token

PLACES = st.builds(Place, st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(PLACES)
def test_a_place_comes_back(place: Place) -> None:
    assert page_token.decode(page_token.encode(place)) == place


def test_no_place_is_no_token() -> None:
    assert page_token.decode(page_token.encode(None)) is None


@given(st.text(min_size=1))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        page_token.decode(text)
