"""Metrics, structured logs and traces. Never a user id, a prompt or a pixel in any of them."""

from __future__ import annotations

import logging
import sys
import traceback
from bisect import bisect_left
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram, Info, start_http_server

from services.core.errors import ConfigurationError
from services.core.signals import ModelVersion
from services.core.verdicts import Verdict

# What counts as one trace in an exemplar: https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
TRACE_ID = "trace_id"
# Upper ends of the bins that scores are counted in; fine at the low end, where nearly all of them lie.
SCORE_BINS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

CALLS = Counter("portcullis_calls", "Finished gRPC calls.", ["method", "code"])
CALL_SECONDS = Histogram("portcullis_call_seconds", "Duration of gRPC calls.", ["method"], buckets=LATENCY_BUCKETS)
IN_FLIGHT = Gauge("portcullis_calls_in_flight", "gRPC calls being served.")
CALLS_LIMIT = Gauge("portcullis_calls_limit", "gRPC calls that are served at once at most.")
ERRORS = Counter("portcullis_errors", "Calls that ended in an expected error, by its reason.", ["code", "reason"])
VERDICTS = Counter(
    "portcullis_verdicts", "Verdicts by stage and the category that decided.", ["stage", "verdict", "category"]
)
SCORES = Counter(
    "portcullis_scores",
    "Highest scores of what was checked, by stage and category, in bins that their upper end names.",
    ["stage", "category", "bin"],
)
OUTPUTS = Counter("portcullis_outputs", "Outputs that were screened for answered requests.", ["outcome"])
RELEASES = Counter(
    "portcullis_releases",
    "Pictures that left; proof is registered where the registry vouches for these very bytes, else missing.",
    ["proof"],
)
MARKS = Counter("portcullis_marks", "Pictures that were signed, marked and registered.", ["operation"])
SPURIOUS_OUTPUTS = Counter(
    "portcullis_spurious_outputs",
    "Outputs that the screen held back though every check of their request said ALLOW, by what decided.",
    ["category"],
)
REVISIONS = Counter(
    "portcullis_revisions",
    "Prompts that the policy's section on diversity revised; kept where the revised one was not allowed.",
    ["mode", "outcome"],
)
ANOMALIES = Counter("portcullis_anomalies", "Rules on the unusual that fired.", ["rule", "mode"])
UNWATCHED = Counter("portcullis_unwatched", "Answered requests that the rules on the unusual did not get to see.")
BUSIEST_ACCOUNT = Gauge("portcullis_busiest_account_share", "Share of the latest requests that one account makes, 0…1.")
NEW_ACCOUNTS = Counter("portcullis_new_accounts", "Accounts that asked for something for the first time.")
STEP_SECONDS = Histogram(
    "portcullis_step_seconds", "Duration of one step of a check.", ["step"], buckets=LATENCY_BUCKETS
)
CLEARANCE_REFUSALS = Counter("portcullis_clearance_refusals", "Clearances that were not accepted.", ["reason"])
QUEUE_DEPTH = Gauge("portcullis_queue_depth", "Items waiting.", ["queue"])
QUEUE_AGE = Gauge("portcullis_queue_oldest_seconds", "Age of the oldest waiting item.", ["queue"])
QUEUE_OVERDUE = Gauge("portcullis_queue_overdue", "Items that wait beyond their due time, of all queues together.")
REVIEW_SECONDS = Histogram(
    "portcullis_review_seconds",
    "From the opening of a case to the decision of a person that was settled; sealed cases are not counted.",
    ["kind"],
    buckets=(60, 300, 900, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 72 * 3600, 168 * 3600),
)
REVIEWS = Counter("portcullis_reviews", "Cases settled; sealed ones are not counted.", ["queue", "resolution", "due"])
REVIEWED_SCORES = Gauge("portcullis_reviewed_scores", "Scores that people settled in 28 days.", ["stage", "category"])
REVIEWED_MEAN = Gauge("portcullis_reviewed_score_mean", "The mean of these scores.", ["stage", "category"])
REVIEWED_UPHELD = Gauge(
    "portcullis_reviewed_upheld_ratio", "Share of them that people upheld, 0…1.", ["stage", "category"]
)
CALIBRATION_ERROR = Gauge(
    "portcullis_calibration_error", "How far scores are from what people upheld, 0…1 (ECE).", ["stage", "category"]
)
STRIKES = Counter("portcullis_strikes", "Strikes given.", ["category", "source"])
STANDING_CHANGES = Counter(
    "portcullis_standing_changes", "Changes of standing; in shadow nothing was done.", ["step", "mode"]
)
STANDINGS = Gauge("portcullis_accounts_in_standing", "Accounts that are not in good standing.", ["standing"])
SUSPENSIONS_OVERDUE = Gauge("portcullis_suspensions_overdue", "Suspensions that nobody has looked at in due time.")
POLICY = Info("portcullis_policy", "The active policy.")
SHADOW_VERDICTS = Counter(
    "portcullis_shadow_verdicts", "Prompts judged a second time by the model on trial.", ["active", "shadow"]
)
IMAGE_BANK_ENTRIES = Gauge("portcullis_image_bank_entries", "Known images that can match.")
IMAGE_BANK_HASHES = Gauge("portcullis_image_bank_hashes", "Hashes of known images in the index.", ["kind"])
IMAGE_BANKS_AGE = Gauge("portcullis_image_banks_age_seconds", "Seconds since Postgres confirmed the known images.")
LIMIT_DECISIONS = Counter(
    "portcullis_limit_decisions",
    "What limits of the policy made of calls; over in shadow passed.",
    ["limit", "mode", "outcome"],
)
ADMISSION_LIMIT = Gauge("portcullis_admission_limit", "Calls about pictures that the gateway lets run at once.")
MODEL = Gauge("portcullis_model", "Loaded models; always 1.", ["name", "version", "digest"])


def count_verdict(stage: str, verdict: Verdict, category: str) -> None:
    """Counts one verdict with the category that weighed most ("none" with ALLOW)."""
    VERDICTS.labels(stage, verdict.name, category).inc()


def count_scores(stage: str, scores: Mapping[str, float]) -> None:
    """Counts the highest score, 0…1, of each category; every bin of a category that was looked for is there."""
    for category, score in scores.items():
        if (stage, category) not in _binned:
            _binned[stage, category] = [SCORES.labels(stage, category, f"{end:g}") for end in SCORE_BINS]
        _binned[stage, category][min(bisect_left(SCORE_BINS, score), len(SCORE_BINS) - 1)].inc()


_binned: dict[tuple[str, str], list[Counter]] = {}


def count_outputs(outcomes: Iterable[str]) -> None:
    """Counts screened outputs: `released`, `held` or `refused` each."""
    for outcome in outcomes:
        OUTPUTS.labels(outcome).inc()


def count_spurious(categories: Iterable[str]) -> None:
    """Counts outputs that a benign request did not deserve, one for each of `categories`."""
    for category in categories:
        SPURIOUS_OUTPUTS.labels(category).inc()


def show_models(models: Iterable[ModelVersion]) -> None:
    """Publishes which models are loaded."""
    for model in models:
        MODEL.labels(model.name, model.version, model.digest[:16]).set(1)


def hide_models(models: Iterable[ModelVersion]) -> None:
    """Takes back that models are loaded."""
    for model in models:
        MODEL.remove(model.name, model.version, model.digest[:16])


def serve_metrics(bind: str, port: int) -> int:
    """Serves /metrics on a port of its own; returns the port, which is a free one where `port` is 0.

    Raises ConfigurationError where another program uses the port.
    """
    try:
        server, _ = start_http_server(port, addr=bind)
    except OSError as error:
        raise ConfigurationError(
            f"{bind}:{port} cannot be listened on for metrics: {error.strerror}; stop what uses it or set another port",
            reason="PORT_IN_USE",
        ) from error
    return int(server.server_port)


def configure_logging(service: str, level: str) -> None:
    """JSON lines on stderr, for our own loggers and those of libraries alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _service_name(service),
            _without_messages,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def fault(error: BaseException) -> dict[str, str]:
    """The kind and the place of an unexpected error; never its message, which may hold content."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    places = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return {"error": type(error).__name__, "at": " < ".join(places)}


def _without_messages(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Says of a library's exception what `fault` says."""
    info = event.pop("exc_info", None)
    return {**event, **fault(info[1])} if isinstance(info, tuple) and info[1] else event


def _service_name(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"service": service, **event}

    return add


def configure_tracing(service: str, endpoint: str) -> None:
    """Sends traces to an OTLP collector; needs the extra `portcullis[otel]`."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"portcullis.{service}"}))
    provider.add_span_processor(BatchSpanProcessor(_Wordless(OTLPSpanExporter(endpoint=endpoint))))
    trace.set_tracer_provider(provider)

    def current() -> dict[str, str] | None:
        span = trace.get_current_span().get_span_context()
        return {TRACE_ID: trace.format_trace_id(span.trace_id)} if span.trace_flags.sampled else None

    global _exemplar
    _exemplar = current


class _Wordless:
    """An exporter of spans that sends them without the texts of errors, which are for the caller and may quote him."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self.shutdown = exporter.shutdown
        self.force_flush = exporter.force_flush

    def export(self, spans: Sequence[Any]) -> Any:
        return self._exporter.export([_without_words(span) for span in spans])


def _without_words(span: Any) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def exemplar() -> dict[str, str] | None:
    """The running call's trace, for a histogram's bucket to name; None where it is not traced."""
    return _exemplar()


def _no_exemplar() -> dict[str, str] | None:
    return None


_exemplar = _no_exemplar
