"""What a call can fail with: one exception that says what was wrong, where, and whether to try again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_Detail = TypeVar("_Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field of a request, what was wrong with it and what is allowed."""

    field: str
    description: str


class PortcullisError(Exception):
    """A call that failed. A refusal by policy is an answer, not an error.

    `code` is the name of a gRPC status ("UNAVAILABLE"), `reason` a stable word for machines (empty where the server
    gave none), `quotas` the limits that were passed, each with its numbers, `retry_after` the seconds after which
    trying again may help (None where it will not).
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        violations: tuple[FieldViolation, ...] = (),
        quotas: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.violations = violations
        self.quotas = quotas
        self.retry_after = retry_after


def from_rpc_error(error: grpc.RpcError) -> PortcullisError:
    """The exception for a failed call, sync or async, with the details of its google.rpc.Status."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return PortcullisError(str(error), code="UNKNOWN")
    # The aio helper of grpc_status raises TypeError on AioRpcError; the sync one reads both.
    status = rpc_status.from_call(cast(grpc.Call, error))
    details = list(status.details) if status else []
    info = _detail(details, error_details_pb2.ErrorInfo())
    bad = _detail(details, error_details_pb2.BadRequest())
    quota = _detail(details, error_details_pb2.QuotaFailure())
    retry = _detail(details, error_details_pb2.RetryInfo())
    return PortcullisError(
        error.details() or "",
        code=error.code().name,
        reason=info.reason if info else "",
        violations=tuple(FieldViolation(v.field, v.description) for v in bad.field_violations) if bad else (),
        quotas=tuple(v.description for v in quota.violations) if quota else (),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
    )


def _detail(details: list[AnyMessage], kind: _Detail) -> _Detail | None:
    return next((kind for detail in details if detail.Unpack(kind)), None)
