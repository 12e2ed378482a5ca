"""What third parties and refused users say, validated at the door: nothing malformed gets further."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from portcullis.v1 import gateway_pb2 as api
from services.core.errors import InvalidInput
from services.core.policy.categories import CATEGORIES
from services.core.policy.fields import unknown
from services.gateway.order import MAX_ACCOUNT_CHARACTERS, account, picture

MAX_STATEMENT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Complaint:
    """A report of a picture, complete; `category` and `statement` may be empty."""

    image: bytes
    reporter: str
    category: str
    statement: str


@dataclass(frozen=True, slots=True)
class Plea:
    """An appeal, complete; of the account's suspension where `decision_id` is None."""

    account: str
    decision_id: UUID | None
    statement: str


def complaint(request: api.ReportImageRequest) -> Complaint:
    """The report; raises InvalidInput on the first field that is wrong."""
    reporter = request.reporter
    if not (1 <= len(reporter) <= MAX_ACCOUNT_CHARACTERS and reporter.isascii() and reporter.isprintable()):
        raise InvalidInput("reporter", f"must be 1–{MAX_ACCOUNT_CHARACTERS} printable ASCII characters")
    if request.category and request.category not in CATEGORIES:
        raise InvalidInput("category", unknown("category", request.category[:64], CATEGORIES))
    statement = _statement(request.statement)
    return Complaint(picture("image", request.image), reporter, request.category, statement)


def plea(request: api.AppealDecisionRequest) -> Plea:
    """The appeal; raises InvalidInput on the first field that is wrong."""
    return Plea(account(request.account), _decision_id(request.decision_id), _statement(request.statement))


def _decision_id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        message = "must be the UUID that Accepted gave, or empty for the suspension"
        raise InvalidInput("decision_id", message) from None


def _statement(text: str) -> str:
    if len(text) > MAX_STATEMENT_CHARACTERS:
        allowed = f"at most {MAX_STATEMENT_CHARACTERS} are allowed"
        raise InvalidInput("statement", f"has {len(text)} characters; {allowed}")
    if "\0" in text:
        raise InvalidInput("statement", "holds a NUL character")
    return text if text.strip() else ""
