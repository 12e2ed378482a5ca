"""Reports and appeals at the door."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portcullis.v1 import gateway_pb2 as api
from services.core.errors import InvalidInput
from services.gateway.complaint import complaint, plea

HTML = '<img src=x onerror="alert(1)">'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reporter", ""),
        ("reporter", "x" * 129),
        ("reporter", "línea"),
        ("reporter", "a\nb"),
        ("category", "viloence"),
        ("category", HTML),
        ("category", "x" * 1_000_000),
        ("statement", "x" * 1_000_000),
        ("statement", "a\0b"),
        ("image", b""),
        ("image", b"x" * (16 * 2**20 + 1)),
    ],
)
def test_a_bad_report_names_its_field(field: str, value: object) -> None:
    request = api.ReportImageRequest(**{"image": b"png", "reporter": "r", field: value})

    with pytest.raises(InvalidInput) as caught:
        complaint(request)

    assert caught.value.violation.field == field
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", ""),
        ("account", "x" * 129),
        ("decision_id", HTML),
        ("decision_id", "1"),
        ("statement", "x" * 1_000_000),
        ("statement", "a\0b"),
    ],
)
def test_a_bad_appeal_names_its_field(field: str, value: str) -> None:
    request = api.AppealDecisionRequest(**{"account": "user-1", "decision_id": str(uuid4()), field: value})

    with pytest.raises(InvalidInput) as caught:
        plea(request)

    assert caught.value.violation.field == field


def test_html_is_words_like_others() -> None:
    taken = complaint(api.ReportImageRequest(image=b"png", reporter=HTML, category="hate", statement=HTML))

    assert (taken.reporter, taken.statement) == (HTML, HTML)


def test_without_a_decision_it_is_the_suspension_that_is_appealed() -> None:
    assert plea(api.AppealDecisionRequest(account="user-1")).decision_id is None


@given(
    decision=st.text(max_size=50) | st.uuids().map(str),
    account=st.text(max_size=140),
    statement=st.text(max_size=2_100),
)
def test_whatever_is_accepted_is_within_bounds(decision: str, account: str, statement: str) -> None:
    try:
        taken = plea(api.AppealDecisionRequest(account=account, decision_id=decision, statement=statement))
    except InvalidInput:
        return

    assert taken.account.isascii()
    assert 1 <= len(taken.account) <= 128
    assert len(taken.statement) <= 2_000
    assert taken.decision_id is None or isinstance(taken.decision_id, UUID)
