"""All dashboards: an overview, abuse, the review desk, model health, capacity, and one for each service."""

from __future__ import annotations

from deploy.grafana.panels import Board, Query, panel, percentiles
from deploy.grafana.service_boards import FAULTS, SERVICES, process, steps

CHECKS = 'job="gateway",method=~"CheckPrompt|CheckUpload|CheckPair"'
FAILED = 'code=~"UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED"'
NOT_SETTLED = "until ten minutes after the first case was settled"
FILTERS = 'job=~".+_filter"'
SCORED_HIGH = 'bin=~"0.7|0.9|1"'

OVERVIEW = Board(
    "portcullis-overview",
    "Portcullis / Overview",
    (
        (
            "Promises",
            (
                panel(
                    "Good, of the last five minutes",
                    "percentunit",
                    Query("1 - slo:errors:rate5m / slo:events:rate5m", "{{slo}}"),
                    kind="stat",
                ),
                panel("Pictures with proof", "percentunit", Query("slo:provenance_coverage:ratio1h"), kind="stat"),
                panel("Processes up", "percentunit", Query("sum(up) / count(up)"), kind="stat"),
                panel(
                    "Cases overdue", "short", Query("max(portcullis_queue_overdue{job='review_relay'})"), kind="stat"
                ),
                panel(
                    "How fast budgets burn, of an hour",
                    "short",
                    Query("slo:burn_rate:1h", "{{slo}}"),
                    says="1 uses up a month's budget in a month; from 14.4 on somebody is called.",
                ),
                panel(
                    "Alerts that fire",
                    "short",
                    Query('sum by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}} {{severity}}"),
                    kind="table",
                    says="Watchdog always does: it says that alerts are looked at.",
                ),
            ),
        ),
        (
            "Requests",
            (
                panel(
                    "Calls",
                    "reqps",
                    Query(
                        'sum by (method) (rate(portcullis_calls_total{job="gateway"}[$__rate_interval]))', "{{method}}"
                    ),
                    kind="areas",
                ),
                panel(
                    "Verdicts",
                    "reqps",
                    Query(
                        "sum by (stage, verdict) (rate(portcullis_verdicts_total[$__rate_interval]))",
                        "{{stage}} {{verdict}}",
                    ),
                    kind="areas",
                ),
                panel("Checks alone", "s", *percentiles("portcullis_call_seconds", CHECKS)),
                panel(
                    "Where a creation's time goes",
                    "s",
                    Query(
                        'sum by (step) (rate(portcullis_step_seconds_sum{job="gateway"}[$__rate_interval]))'
                        ' / sum by (step) (rate(portcullis_step_seconds_count{job="gateway"}[$__rate_interval]))',
                        "{{step}}",
                    ),
                    kind="areas",
                ),
                panel(
                    "Outputs",
                    "reqps",
                    Query("sum by (outcome) (rate(portcullis_outputs_total[$__rate_interval]))", "{{outcome}}"),
                ),
                panel(
                    "What waits",
                    "short",
                    Query("max by (queue) (portcullis_queue_depth)", "{{queue}}"),
                ),
            ),
        ),
    ),
)
ABUSE = Board(
    "portcullis-abuse",
    "Portcullis / Abuse",
    (
        (
            "What is refused",
            (
                panel("Share refused, of an hour", "percentunit", Query("stage:block_share:1h", "{{stage}}")),
                panel(
                    "Refusals by category",
                    "reqps",
                    Query(
                        'sum by (category) (rate(portcullis_verdicts_total{verdict="BLOCK"}[$__rate_interval]))',
                        "{{category}}",
                    ),
                    kind="areas",
                ),
                panel(
                    "Limits passed",
                    "reqps",
                    Query(
                        "sum by (limit, mode) (rate(portcullis_limit_decisions_total"
                        '{outcome="over"}[$__rate_interval]))',
                        "{{limit}} {{mode}}",
                    ),
                    empty="while nobody passes a limit",
                ),
                panel(
                    "Clearances refused",
                    "reqps",
                    Query(
                        "sum by (job, reason) (rate(portcullis_clearance_refusals_total[$__rate_interval]))",
                        "{{job}} {{reason}}",
                    ),
                    empty=FAULTS,
                ),
            ),
        ),
        (
            "Who",
            (
                panel(
                    "Rules on the unusual that fired, of an hour",
                    "short",
                    Query("sum by (rule, mode) (increase(portcullis_anomalies_total[1h]))", "{{rule}} {{mode}}"),
                    empty="while no rule fires",
                ),
                panel(
                    "Share of the busiest account",
                    "percentunit",
                    Query("max(portcullis_busiest_account_share{job='gateway'})", "share"),
                ),
                panel(
                    "New accounts, of an hour",
                    "short",
                    Query("sum(increase(portcullis_new_accounts_total{job='gateway'}[1h]))", "accounts"),
                ),
                panel(
                    "Requests that the rules did not see",
                    "reqps",
                    Query("sum(rate(portcullis_unwatched_total{job='gateway'}[$__rate_interval]))", "requests"),
                ),
                panel(
                    "Strikes by category, of an hour",
                    "short",
                    Query(
                        "sum by (category, source) (increase(portcullis_strikes_total[1h]))", "{{category}} {{source}}"
                    ),
                ),
                panel(
                    "Changes of standing, of an hour",
                    "short",
                    Query("sum by (step, mode) (increase(portcullis_standing_changes_total[1h]))", "{{step}} {{mode}}"),
                    empty="while no standing changes",
                ),
                panel(
                    "Accounts not in good standing",
                    "short",
                    Query("max by (standing) (portcullis_accounts_in_standing)", "{{standing}}"),
                ),
                panel(
                    "Suspensions overdue",
                    "short",
                    Query("max(portcullis_suspensions_overdue{job='review_relay'})", "suspensions"),
                ),
            ),
        ),
    ),
)
REVIEW_DESK = Board(
    "portcullis-review-desk",
    "Portcullis / Review desk",
    (
        (
            "What waits",
            (
                panel(
                    "Cases by queue",
                    "short",
                    Query('max by (queue) (portcullis_queue_depth{queue!="render"})', "{{queue}}"),
                ),
                panel(
                    "The oldest of each", "s", Query("max by (queue) (portcullis_queue_oldest_seconds)", "{{queue}}")
                ),
                panel(
                    "Beyond their due time",
                    "short",
                    Query("max(portcullis_queue_overdue{job='review_relay'})", "cases"),
                    says="Of all queues together, sealed cases among them.",
                ),
            ),
        ),
        (
            "What people decide (sealed cases are in none of these)",
            (
                panel(
                    "Cases settled, of an hour",
                    "short",
                    Query(
                        "sum by (queue, resolution) (increase(portcullis_reviews_total[1h]))",
                        "{{queue}} {{resolution}}",
                    ),
                    kind="areas",
                ),
                panel(
                    "From opening to decision",
                    "s",
                    Query(
                        "histogram_quantile(0.5, sum by (le, kind) (increase(portcullis_review_seconds_bucket[1d])))",
                        "{{kind}} p50",
                    ),
                    Query(
                        "histogram_quantile(0.95, sum by (le, kind) (increase(portcullis_review_seconds_bucket[1d])))",
                        "{{kind}} p95",
                    ),
                ),
                panel(
                    "Decided too late, of a day",
                    "percentunit",
                    Query(
                        '(sum(increase(portcullis_reviews_total{due="late"}[1d])) or vector(0))'
                        " / sum(increase(portcullis_reviews_total[1d]))",
                        "late",
                    ),
                ),
                panel(
                    "Share upheld, of a day",
                    "percentunit",
                    Query(
                        '(sum by (queue) (increase(portcullis_reviews_total{resolution="uphold"}[1d]))'
                        " or 0 * sum by (queue) (portcullis_reviews_total))"
                        " / sum by (queue) (increase(portcullis_reviews_total[1d]))",
                        "{{queue}}",
                    ),
                ),
            ),
        ),
    ),
)
MODELS = Board(
    "portcullis-model-health",
    "Portcullis / Model health",
    (
        (
            "Scores",
            (
                panel(
                    "Drift: PSI of six hours against a week",
                    "short",
                    Query("topk(10, stage_category:portcullis_scores:psi)", "{{stage}} {{category}}"),
                    says="Above 0.1 look, above 0.25 an alert fires.",
                    empty="until a day and an hour of scores are there",
                ),
                panel(
                    "Scores above 0.5",
                    "percentunit",
                    Query(
                        f"sum by (stage, category) (rate(portcullis_scores_total{{{SCORED_HIGH}}}[$__rate_interval]))"
                        " / sum by (stage, category) (rate(portcullis_scores_total[$__rate_interval])) > 0",
                        "{{stage}} {{category}}",
                    ),
                ),
                panel(
                    "Checks that were scored",
                    "reqps",
                    Query(
                        "sum by (stage) (rate(portcullis_scores_total"
                        '{category=~"hate|manipulation"}[$__rate_interval]))',
                        "{{stage}}",
                    ),
                    says="By the one category that each check must have scored.",
                ),
                panel(
                    "Spurious outputs",
                    "percentunit",
                    Query(
                        "sum by (category) (rate(portcullis_spurious_outputs_total[1h]))"
                        " / ignoring (category) group_left () sum(rate(portcullis_outputs_total[1h]))",
                        "{{category}}",
                    ),
                    empty="while the screen holds nothing back that was asked for in good faith",
                ),
            ),
        ),
        (
            "What people made of them, of 28 days",
            (
                panel(
                    "Calibration error",
                    "short",
                    Query("max by (stage, category) (portcullis_calibration_error)", "{{stage}} {{category}}"),
                    empty=NOT_SETTLED,
                ),
                panel(
                    "Settled scores",
                    "short",
                    Query("max by (stage, category) (portcullis_reviewed_scores)", "{{stage}} {{category}}"),
                    empty=NOT_SETTLED,
                ),
                panel(
                    "Mean score, less the share upheld",
                    "short",
                    Query(
                        "max by (stage, category) (portcullis_reviewed_score_mean - portcullis_reviewed_upheld_ratio)",
                        "{{stage}} {{category}}",
                    ),
                    says="Above 0 the model says more than people do, below 0 less.",
                    empty=NOT_SETTLED,
                ),
            ),
        ),
        (
            "Models",
            (
                panel(
                    "Loaded",
                    "short",
                    Query("count by (job, name, version, digest) (portcullis_model)", "{{job}} {{name}} {{version}}"),
                    kind="table",
                ),
                panel(
                    "Calls that failed",
                    "percentunit",
                    Query(
                        f"sum by (job) (rate(portcullis_calls_total{{{FILTERS},{FAILED}}}[$__rate_interval]))"
                        f" / sum by (job) (rate(portcullis_calls_total{{{FILTERS}}}[$__rate_interval]))",
                        "{{job}}",
                    ),
                    empty=FAULTS,
                ),
                panel(
                    "Not measured, by reason",
                    "reqps",
                    Query(
                        "sum by (job, reason) (rate(portcullis_errors_total"
                        f'{{{FILTERS},code="UNAVAILABLE"}}[$__rate_interval]))',
                        "{{job}} {{reason}}",
                    ),
                    empty=FAULTS,
                ),
            ),
        ),
    ),
)
CAPACITY = Board(
    "portcullis-capacity",
    "Portcullis / Capacity",
    (
        (
            "How full",
            (
                panel(
                    "Calls at once, of what a process serves",
                    "percentunit",
                    Query("max by (job) (portcullis_calls_in_flight / (portcullis_calls_limit > 0))", "{{job}}"),
                ),
                panel(
                    "Requests that wait to be drawn",
                    "short",
                    Query('sum(portcullis_queue_depth{queue="render"})', "waiting"),
                ),
                panel(
                    "Turned away",
                    "reqps",
                    Query(
                        "sum by (job, reason) (rate(portcullis_errors_total"
                        '{reason=~"CONCURRENCY|BUSY|QUEUE_FULL|OUT_OF_MEMORY|REMOTE_BUSY"}[$__rate_interval]))',
                        "{{job}} {{reason}}",
                    ),
                    empty="while there is room",
                ),
                panel(
                    "CPU for a call",
                    "s",
                    Query(
                        "sum by (job) (rate(process_cpu_seconds_total[5m]))"
                        " / sum by (job) (rate(portcullis_calls_total[5m]) > 0)",
                        "{{job}}",
                    ),
                    says="Idle costs count in: at low load it reads too high.",
                ),
                panel(
                    "Pictures a minute",
                    "short",
                    Query("60 * sum(rate(portcullis_releases_total[$__rate_interval]))", "released"),
                ),
                steps("gateway"),
            ),
        ),
        ("Processes", process(".+")),
    ),
)
BOARDS: tuple[Board, ...] = (OVERVIEW, *SERVICES, ABUSE, REVIEW_DESK, MODELS, CAPACITY)
