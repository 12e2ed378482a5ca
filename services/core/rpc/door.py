"""The door of every server, one interceptor in Boulder's order: metrics, authorisation, then deadline and metadata.

Deny by default: a method that the service's table of callers does not name is refused to everyone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import grpc
import structlog
from google.protobuf.message import DecodeError

from services.core import telemetry
from services.core.errors import (
    Exhausted,
    InvalidInput,
    PermissionDenied,
    PortcullisError,
    Unauthenticated,
)
from services.core.rpc.probes import Probes
from services.core.rpc.status import abort, rate_limit
from services.core.rpc.tls import TRUST_DOMAIN

MAX_DEADLINE_SECONDS = 120.0
HEALTH = "/grpc.health.v1.Health/"

if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:  # generic in the stubs alone
    Interceptor = grpc.aio.ServerInterceptor

Context = grpc.aio.ServicerContext[Any, Any]
# Turns an API key into the identity that it stands for ("tenant/acme"), or raises Unauthenticated.
KeyCheck = Callable[[str], Awaitable[str]]

_caller: ContextVar[Caller] = ContextVar("caller")
_context: ContextVar[Context] = ContextVar("context")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: "gateway", "analyst/alice", "tenant/acme"."""

    identity: str

    @property
    def kind(self) -> str:
        """The part before the slash."""
        return self.identity.partition("/")[0]

    @property
    def name(self) -> str:
        """The part after the slash, empty for services."""
        return self.identity.partition("/")[2]


def current_caller() -> Caller:
    """The caller of the running call."""
    return _caller.get()


def tell_limit(limit: int, remaining: int, reset_seconds: float) -> None:
    """Tells the running call's caller how it stands with a limit, as trailing metadata."""
    _context.get().set_trailing_metadata(rate_limit(limit, remaining, reset_seconds))


class Door(Interceptor):
    """Lets known callers in, under a deadline, counted; turns our errors into statuses."""

    def __init__(
        self,
        service: str,
        callers: Mapping[str, frozenset[str]],
        max_concurrent: int,
        check_key: KeyCheck | None,
    ) -> None:
        self._prefix = f"/{service}/"
        self._callers = callers
        self._free = max_concurrent
        telemetry.CALLS_LIMIT.set(max_concurrent)
        self._check_key = check_key
        self._probes = Probes()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Wraps the method's handler; health is open within bounds, everything else needs an identity."""
        handler = await continuation(details)
        path = str(details.method)
        if handler is None:
            return handler
        if path.startswith(HEALTH):
            return self._probes.guarded(handler)
        if path.startswith(self._prefix):
            return self._guarded(handler, path.removeprefix(self._prefix), details)
        # Reflection: over mTLS the handshake has proved who calls; at the key door a key is needed.
        if self._check_key is not None:
            try:
                await self._check_key(_bearer(details))
            except PortcullisError as error:
                return _refusing(error)
        return handler

    def _guarded(self, handler: Any, method: str, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        async def unary(data: bytes, context: Context) -> Any:
            async with self._admitted(method, context, details):
                return await handler.unary_unary(_parse(handler, data), context)

        async def stream(data: bytes, context: Context) -> AsyncIterator[Any]:
            # Closed here and not by the garbage collector, so that a caller who left frees what he used at once.
            async with (
                self._admitted(method, context, details),
                aclosing(handler.unary_stream(_parse(handler, data), context)) as responses,
            ):
                async for response in responses:
                    yield response

        # Requests are parsed inside, so that only known callers' are and a malformed one gets a clear error.
        codec = {"request_deserializer": None, "response_serializer": handler.response_serializer}
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(cast("Any", stream), **codec)
        return grpc.unary_unary_rpc_method_handler(cast("Any", unary), **codec)

    @asynccontextmanager
    async def _admitted(self, method: str, context: Context, details: grpc.HandlerCallDetails) -> AsyncIterator[None]:
        started = time.perf_counter()
        code = "OK"
        structlog.contextvars.clear_contextvars()
        try:
            with telemetry.IN_FLIGHT.track_inprogress(), self._slot():
                _caller.set(await self._authorise(method, context, details))
                _context.set(context)
                structlog.contextvars.bind_contextvars(method=method)
                async with asyncio.timeout(_deadline(context)):
                    yield
        except TimeoutError:
            code = "DEADLINE_EXCEEDED"
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "not done within the deadline; nothing was let out")
        except PortcullisError as error:
            code = error.code
            telemetry.ERRORS.labels(error.code, error.reason).inc()
            if error.reason.startswith("CLEARANCE_"):
                telemetry.CLEARANCE_REFUSALS.labels(error.reason).inc()
            log.info("refused", code=error.code, reason=error.reason)
            await abort(context, error)
        except (asyncio.CancelledError, GeneratorExit):  # the caller left, while we worked or while he read
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = "ABORTED"
            raise
        except Exception as error:
            code = "INTERNAL"
            log.error("failed", **telemetry.fault(error))
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; nothing was let through")
        finally:
            telemetry.CALLS.labels(method, code).inc()
            telemetry.CALL_SECONDS.labels(method).observe(time.perf_counter() - started, telemetry.exemplar())

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._free <= 0:
            raise Exhausted("too many calls at once; try again", reason="CONCURRENCY", retry_after=1.0)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def _authorise(self, method: str, context: Context, details: grpc.HandlerCallDetails) -> Caller:
        if self._check_key is not None:
            caller = Caller(await self._check_key(_bearer(details)))
        else:
            caller = Caller(_certificate_identity(context))
        allowed = self._callers.get(method, frozenset())
        if caller.identity not in allowed and caller.kind not in allowed:
            raise PermissionDenied(f"{caller.kind} may not call {method}", reason="CALLER_NOT_ALLOWED")
        return caller


def _bearer(details: grpc.HandlerCallDetails) -> str:
    metadata = cast("Iterable[tuple[str, str | bytes]]", details.invocation_metadata or ())
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str) and value.startswith("Bearer "):
            return value.removeprefix("Bearer ")
    raise Unauthenticated("an API key is needed: metadata `authorization: Bearer pk_…`", reason="API_KEY_MISSING")


def _certificate_identity(context: Context) -> str:
    names = context.auth_context().get("x509_subject_alternative_name", ())
    for name in names:
        text = name.decode() if isinstance(name, bytes) else str(name)
        if text.startswith(TRUST_DOMAIN):
            return text.removeprefix(TRUST_DOMAIN)
    raise Unauthenticated("a client certificate of this house is needed", reason="CERTIFICATE_MISSING")


def _deadline(context: Context) -> float:
    remaining = context.time_remaining()
    if remaining is None:
        raise InvalidInput("deadline", f"every call needs a deadline of at most {MAX_DEADLINE_SECONDS:.0f} seconds")
    return min(float(remaining), MAX_DEADLINE_SECONDS)


def _parse(handler: Any, data: bytes) -> Any:
    try:
        request = handler.request_deserializer(data)
    except DecodeError:
        raise InvalidInput("request", "is not a valid message; every text must be UTF-8") from None
    structlog.contextvars.bind_contextvars(request_id=_request_id(request))
    return request


def _request_id(request: Any) -> str:
    """The request's id for the log; empty unless it is a UUID, for a caller may write anything there."""
    try:
        return str(UUID(getattr(getattr(request, "subject", request), "request_id", "")))
    except ValueError:
        return ""


def _refusing(error: PortcullisError) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_requests: Any, context: Context) -> None:
        await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(cast("Any", refuse))
