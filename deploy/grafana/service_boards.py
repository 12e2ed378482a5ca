"""One dashboard for each service: what all have in common, and what each has of its own."""

from __future__ import annotations

from deploy.grafana.panels import Board, Panel, Query, panel, percentiles

FAULTS = "while nothing goes wrong"


def calls(job: str) -> tuple[Panel, ...]:
    """What every gRPC server shows."""
    of = f'job="{job}"'
    return (
        panel(
            "Calls",
            "reqps",
            Query(f"sum by (method) (rate(portcullis_calls_total{{{of}}}[$__rate_interval]))", "{{method}}"),
            kind="areas",
        ),
        panel(
            "How they ended",
            "reqps",
            Query(f"sum by (code) (rate(portcullis_calls_total{{{of}}}[$__rate_interval]))", "{{code}}"),
            says="UNAVAILABLE, INTERNAL and DEADLINE_EXCEEDED are ours; the rest is the caller's.",
        ),
        panel("How long they took", "s", *percentiles("portcullis_call_seconds", of, ["method"])),
        panel(
            "Errors by reason",
            "reqps",
            Query(f"sum by (reason) (rate(portcullis_errors_total{{{of}}}[$__rate_interval]))", "{{reason}}"),
            empty=FAULTS,
        ),
        panel(
            "Calls at once",
            "short",
            Query(f"sum(portcullis_calls_in_flight{{{of}}})", "in flight"),
            Query(f"sum(portcullis_calls_limit{{{of}}})", "at most"),
        ),
    )


def process(jobs: str) -> tuple[Panel, ...]:
    """What every process shows; `jobs` is a regular expression."""
    of = f'job=~"{jobs}"'
    return (
        panel("Up", "short", Query(f"sum by (job) (up{{{of}}})", "{{job}}"), kind="stat"),
        panel(
            "CPU",
            "short",
            Query(f"sum by (job) (rate(process_cpu_seconds_total{{{of}}}[$__rate_interval]))", "{{job}}"),
            says="In cores.",
        ),
        panel("Memory", "bytes", Query(f"sum by (job) (process_resident_memory_bytes{{{of}}})", "{{job}}")),
        panel("Open files", "short", Query(f"max by (job) (process_open_fds{{{of}}})", "{{job}}")),
    )


def steps(job: str) -> Panel:
    """Where a service's time goes."""
    return panel(
        "Steps, 95th percentile",
        "s",
        Query(
            f"histogram_quantile(0.95, sum by (le, step) "
            f'(rate(portcullis_step_seconds_bucket{{job="{job}"}}[$__rate_interval])))',
            "{{step}}",
            exemplars=True,
        ),
    )


def verdicts(stages: str) -> Panel:
    """What a filter decides."""
    return panel(
        "Verdicts",
        "reqps",
        Query(
            f'sum by (stage, verdict) (rate(portcullis_verdicts_total{{stage=~"{stages}"}}[$__rate_interval]))',
            "{{stage}} {{verdict}}",
        ),
        kind="areas",
    )


def models(job: str) -> Panel:
    """What is loaded."""
    return panel(
        "Models",
        "short",
        Query(f'count by (name, version, digest) (portcullis_model{{job="{job}"}})', "{{name}} {{version}}"),
        kind="table",
        says="How many processes have loaded each.",
    )


def _board(name: str, title: str, own: tuple[Panel, ...]) -> Board:
    rows = (("What it is for", own), ("Calls", calls(name)), ("Process", process(name)))
    return Board(f"portcullis-{name.replace('_', '-')}", f"Portcullis / {title}", rows)


GATEWAY = _board(
    "gateway",
    "Gateway",
    (
        steps("gateway"),
        panel(
            "Outputs",
            "reqps",
            Query("sum by (outcome) (rate(portcullis_outputs_total[$__rate_interval]))", "{{outcome}}"),
            kind="areas",
        ),
        panel(
            "Pictures that left, by proof",
            "reqps",
            Query("sum by (proof) (rate(portcullis_releases_total[$__rate_interval]))", "{{proof}}"),
        ),
        panel(
            "Calls about pictures at once",
            "short",
            Query('sum(portcullis_admission_limit{job="gateway"})', "let in at most"),
            says="Learnt from how long creations take; who finds no place is told BUSY.",
        ),
        panel(
            "Limits",
            "reqps",
            Query(
                "sum by (limit, mode, outcome) (rate(portcullis_limit_decisions_total[$__rate_interval]))",
                "{{limit}} {{mode}} {{outcome}}",
            ),
        ),
        panel(
            "Revised prompts",
            "reqps",
            Query(
                "sum by (mode, outcome) (rate(portcullis_revisions_total[$__rate_interval]))", "{{mode}} {{outcome}}"
            ),
            empty="unless the policy has a section `diversity` and the generator takes any words",
        ),
        panel(
            "Policy in force",
            "short",
            Query('count by (name, id, job) (portcullis_policy_info{id!=""})', "{{job}} {{name}}"),
            kind="table",
        ),
    ),
)
PROMPT_FILTER = _board(
    "prompt_filter",
    "Prompt filter",
    (
        verdicts("prompt"),
        steps("prompt_filter"),
        models("prompt_filter"),
        panel(
            "Model on trial",
            "reqps",
            Query(
                "sum by (active, shadow) (rate(portcullis_shadow_verdicts_total[$__rate_interval]))",
                "{{active}} → {{shadow}}",
            ),
            empty="while no model is on trial",
        ),
    ),
)
IMAGE_FILTER = _board(
    "image_filter",
    "Image filter",
    (
        verdicts("upload|output"),
        steps("image_filter"),
        panel("Known images", "short", Query("max(portcullis_image_bank_entries{job='image_filter'})", "entries")),
        panel(
            "Hashes",
            "short",
            Query("max by (kind) (portcullis_image_bank_hashes)", "{{kind}}"),
        ),
        panel(
            "Seconds since Postgres confirmed them",
            "s",
            Query("max(portcullis_image_banks_age_seconds{job='image_filter'})", "age"),
        ),
        models("image_filter"),
    ),
)
COMBO_FILTER = _board("combo_filter", "Combo filter", (verdicts("pair"), steps("combo_filter"), models("combo_filter")))
GENERATOR = _board(
    "generator",
    "Generator",
    (
        panel(
            "Requests that wait to be drawn", "short", Query('sum(portcullis_queue_depth{queue="render"})', "waiting")
        ),
        panel(
            "A rendering, from asking to the last picture",
            "s",
            *percentiles("portcullis_call_seconds", 'job="generator",method="Generate"'),
        ),
        models("generator"),
    ),
)
PROVENANCE = _board(
    "provenance",
    "Provenance",
    (
        panel(
            "Pictures marked",
            "reqps",
            Query("sum by (operation) (rate(portcullis_marks_total[$__rate_interval]))", "{{operation}}"),
        ),
        panel(
            "Marking and inspecting, 95th percentile",
            "s",
            Query(
                "histogram_quantile(0.95, sum by (le, method) "
                '(rate(portcullis_call_seconds_bucket{job="provenance"}[$__rate_interval])))',
                "{{method}}",
                exemplars=True,
            ),
        ),
        panel(
            "Owed timestamps",
            "short",
            Query("max(portcullis_owed_timestamps{job='provenance'})", "pictures"),
        ),
        panel("Coverage, of an hour", "percentunit", Query("slo:provenance_coverage:ratio1h", "proven"), kind="stat"),
    ),
)
REVIEW = Board(
    "portcullis-review",
    "Portcullis / Review service",
    (
        (
            "What it is for",
            (
                panel(
                    "Messages worked off",
                    "reqps",
                    Query(
                        "sum by (task, done) (rate(portcullis_review_tasks_total[$__rate_interval]))",
                        "{{task}} {{done}}",
                    ),
                ),
                panel("The console's pages", "s", *percentiles("portcullis_console_seconds", "", ["page"])),
                panel(
                    "Webhooks",
                    "reqps",
                    Query(
                        "sum by (outcome) (rate(portcullis_webhook_attempts_total[$__rate_interval]))", "{{outcome}}"
                    ),
                    empty="while no platform has an endpoint",
                ),
                panel(
                    "Endpoints and deliveries",
                    "short",
                    Query("max by (state) (portcullis_webhook_endpoints)", "endpoints {{state}}"),
                    Query("max by (state) (portcullis_webhook_deliveries)", "deliveries {{state}}"),
                ),
                panel(
                    "Oldest delivery that waits",
                    "s",
                    Query("max(portcullis_webhook_oldest_seconds{job='review_notifier'})", "age"),
                ),
                panel(
                    "Events that Kafka took",
                    "reqps",
                    Query("sum(rate(portcullis_kafka_events_total[$__rate_interval]))", "events"),
                ),
            ),
        ),
        ("Calls", calls("review")),
        ("Processes", process("review.*")),
    ),
)
SERVICES = (GATEWAY, PROMPT_FILTER, IMAGE_FILTER, COMBO_FILTER, GENERATOR, PROVENANCE, REVIEW)
