"""What a policy says to users and reporters: one plain text for each thing that they are told."""

from __future__ import annotations

from datetime import UTC, datetime
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, Field

from services.core.policy.fields import Section, unknown

PLACEHOLDERS = ("due", "until")
FURTHER_NOTICE = "further notice"


def _placeholders(text: str) -> str:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}: write {{{{ and }}}} for braces") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            raise ValueError(unknown("placeholder", name, PLACEHOLDERS))
        if form or conversion:
            raise ValueError(f"placeholder {name!r} takes no format: write {{{name}}}")
    return text


Notice = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_placeholders)]


class NoticeRules(Section):
    """Plain texts; {due} becomes the moment by which a person decides, {until} the end of what is told."""

    report_received: Notice = "Thank you. A person will look at this picture."
    report_not_ours: Notice = "We find no sign that this picture was made here, so we cannot act on it."
    report_withdrawn: Notice = "This picture was withdrawn already."
    report_kept: Notice = "A person has looked at this picture and found that it may stay."
    appeal_received: Notice = "Another person will look at this again, by {due} at the latest."
    appeal_granted: Notice = "You were right: this should not have been refused. You may ask for it again."
    appeal_denied: Notice = "Another person has looked at this again, and the decision stands."


def fill(notice: str, *, due: datetime | None = None, until: datetime | None = None) -> str:
    """The text with its placeholders filled in; a moment that nobody knows becomes "further notice"."""
    return notice.format(due=_moment(due), until=_moment(until))


def _moment(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else FURTHER_NOTICE
