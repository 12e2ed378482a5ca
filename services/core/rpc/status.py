"""Errors on the wire: our errors become google.rpc.Status once, here; and the statuses of other rooms become ours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.core.errors import (
    Aborted,
    AlreadyExists,
    Exhausted,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    PortcullisError,
    QuotaViolation,
    Unavailable,
)

DOMAIN = "portcullis"


def to_status(error: PortcullisError) -> status_pb2.Status:
    """The google.rpc.Status of `error`, with ErrorInfo and, where they apply, BadRequest, QuotaFailure, RetryInfo."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.violation.field, description=error.violation.description
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, Exhausted):
        passed = error.violations or (QuotaViolation(error.reason, error.message),)
        quotas = [
            error_details_pb2.QuotaFailure.Violation(subject=q.subject, description=q.description) for q in passed
        ]
        details.append(error_details_pb2.QuotaFailure(violations=quotas))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=error.message, details=[_pack(detail) for detail in details]
    )


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: PortcullisError) -> None:
    """Ends the call with the status of `error`."""
    status = rpc_status.to_status(to_status(error))
    trailers = tuple(status.trailing_metadata)
    if isinstance(error, Exhausted) and error.limit is not None:
        trailers += rate_limit(error.limit, 0, error.retry_after)
    await context.abort(status.code, status.details, trailers)


def rate_limit(limit: int, remaining: int, reset_seconds: float | None) -> tuple[tuple[str, str], ...]:
    """How it stands with a limit, as trailing metadata (IETF draft-ietf-httpapi-ratelimit-headers, its first names)."""
    known = (("ratelimit-limit", str(limit)), ("ratelimit-remaining", str(remaining)))
    return known if reset_seconds is None else (*known, ("ratelimit-reset", str(math.ceil(reset_seconds))))


def from_rpc_error(error: grpc.aio.AioRpcError, room: str) -> PortcullisError:
    """What a failed call to another room means to our caller.

    Anything but a clear answer about the caller's own input counts as "the room is not there": the gate stays closed.
    That a room does not trust us is ours to mend, so it counts as that too.
    """
    status = _status_of(error)
    info, violation, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), None
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(violation)
        delay = error_details_pb2.RetryInfo()
        if detail.Unpack(delay):
            retry = delay.retry_delay.ToNanoseconds() / 1e9
    code = error.code()
    if code is grpc.StatusCode.INVALID_ARGUMENT and violation.field_violations:
        first = violation.field_violations[0]
        return InvalidInput(first.field, first.description)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Exhausted(status.message or f"{room} is full", reason=info.reason, retry_after=retry or 1.0)
    if code in _PASSED_ON:
        return _PASSED_ON[code](status.message, reason=info.reason, retry_after=retry)
    return Unavailable(
        f"the {room} is not available, so nothing was let through; try again",
        reason="_".join([*room.upper().split(), "UNAVAILABLE"]),
        retry_after=retry or 1.0,
    )


_PASSED_ON: dict[grpc.StatusCode, type[PortcullisError]] = {
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.ABORTED: Aborted,
}


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    # The aio helper of grpc_status raises TypeError on AioRpcError; the details travel in this trailer.
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status(message=error.details() or "")


def _pack(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
