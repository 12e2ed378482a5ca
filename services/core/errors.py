"""The one family of errors: each says what was wrong, where, and what to do; `rpc` maps each to a gRPC status once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class PortcullisError(Exception):
    """Base of all expected failures.

    `code` is the gRPC status name; `reason` a stable UPPER_SNAKE word for machines; the message is for people and
    never holds content, keys or tokens.
    """

    code = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """`retry_after` is in seconds; set it where trying again may help. Machines read `metadata`."""
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).__name__.upper()
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field: its path in the message, and what was wrong and what is allowed."""

    field: str
    description: str


class InvalidInput(PortcullisError):
    """Malformed or out of range (INVALID_ARGUMENT)."""

    code = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str) -> None:
        """`field` names the field; `description` says what was wrong and what is allowed."""
        super().__init__(f"{field}: {description}", reason="INVALID_INPUT")
        self.violation = FieldViolation(field, description)


class Unauthenticated(PortcullisError):
    """No identity, or not a valid one (UNAUTHENTICATED)."""

    code = "UNAUTHENTICATED"


class PermissionDenied(PortcullisError):
    """Known, but not allowed; clearance missing, expired or for other bytes (PERMISSION_DENIED)."""

    code = "PERMISSION_DENIED"


class FailedPrecondition(PortcullisError):
    """Not in this state: account suspended, item decided (FAILED_PRECONDITION)."""

    code = "FAILED_PRECONDITION"


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """One limit that was passed: of whom ("account:user-1"), and which with its numbers."""

    subject: str
    description: str


class Exhausted(PortcullisError):
    """Rate, quota or queue is full (RESOURCE_EXHAUSTED)."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        retry_after: float | None = None,
        violations: Sequence[QuotaViolation] = (),
        limit: int | None = None,
    ) -> None:
        """`violations` name the limits where one was passed, `limit` all that the first of them gives."""
        super().__init__(message, reason=reason, retry_after=retry_after)
        self.violations = tuple(violations)
        self.limit = limit


class Unavailable(PortcullisError):
    """A part is not there; nothing was let through (UNAVAILABLE)."""

    code = "UNAVAILABLE"

    def __init__(self, message: str, *, reason: str = "UNAVAILABLE", retry_after: float = 1.0) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message, reason=reason, retry_after=retry_after)


class NotFound(PortcullisError):
    """Unknown id, or not the caller's (NOT_FOUND)."""

    code = "NOT_FOUND"


class AlreadyExists(PortcullisError):
    """The request id was used for other content (ALREADY_EXISTS)."""

    code = "ALREADY_EXISTS"


class Aborted(PortcullisError):
    """Lost a race: a claim that ended, a request already running (ABORTED)."""

    code = "ABORTED"


class ConfigurationError(PortcullisError):
    """The service cannot start as it is set up; the message says how to mend it."""

    code = "FAILED_PRECONDITION"
