"""What a house needs for so many pictures a day with so many registered: pods, GPUs, Postgres, broker, money.

Pods are the fewest that stay below the share of a processor that shall be used and whose queue lets 95% wait no longer
than the work itself takes: M/M/c by Erlang's C formula (A. K. Erlang, 1917). Service times here vary less than
exponential ones, so waits are over-estimated.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.capacity.assumptions import Assumptions
from benchmarks.capacity.work import Work

DAY, HOURS_A_MONTH, DAYS_A_MONTH = 86_400.0, 730.0, 30.4
PUBLISHED = 2  # messages of a case: one to route it, one to settle it
TOUCHES = 3  # of a message in the broker: published, delivered, acknowledged
# Measured by benchmarks of their own, on two busy cores (services/gateway/README.md, services/review/README.md).
LIMIT_DECISIONS = 2_100.0  # a second, the default policy's limits of a creating call, many accounts
CLAIMS = 230.0  # a second, of one queue
VOLUME = "volume (answers of 24 h)"


@dataclass(frozen=True, slots=True)
class Measured:
    """What this machine told: seconds and bytes of one call, of one row, of one search."""

    work: Work
    transactions: Mapping[str, float]
    wal_bytes: Mapping[str, float]
    row_bytes: Mapping[str, float]
    search_base: float  # CPU seconds of a search in an empty registry
    search_a_row: float  # and for each registered picture


@dataclass(frozen=True, slots=True)
class Step:
    """A size: pictures a day, and pictures that are registered."""

    name: str
    pictures_a_day: float
    registered: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What cannot be had more of by adding pods: how much of it is needed, how much there can be, and what to do."""

    what: str
    need: float
    most: float
    unit: str
    mend: str

    @property
    def load(self) -> float:
        """1 is full."""
        return self.need / self.most


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of what there is only one of, in the busiest hour, a second; bytes by table, and of the volume."""

    calls: float
    held: float
    postgres_cores: float
    search_cores: float  # of those, for look-alikes
    connections: int
    search_seconds: float
    wal_bytes: float
    volume_bytes: float
    stored: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer for one step. Rates are those of the busiest hour, a second; money is dollars."""

    step: Step
    pictures: float
    pods: Mapping[str, int]
    gpus: int
    transactions: float
    broker_messages: float
    people: float
    demand: Demand
    cost: Mapping[str, float]  # of a thousand pictures, by stage
    limits: tuple[Limit, ...]  # the nearest first


def erlang_c(servers: int, load: float) -> float:
    """The probability to wait for one of `servers` under `load` erlangs, which must be below them."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def wait_p95(servers: int, rate: float, seconds: float) -> float:
    """Seconds that 95% wait less than, first come first served; infinite where the servers cannot keep up."""
    load = rate * seconds
    if load >= servers:
        return math.inf
    waits = erlang_c(servers, load)
    return max(math.log(waits / 0.05) / (servers / seconds - rate), 0.0) if waits > 0 else 0.0


def pods_for(rate: float, seconds: float, cores: int, assume: Assumptions) -> int:
    """The fewest pods of `cores` processors for `rate` tasks a second of `seconds` each."""
    number = assume.least_pods
    while rate * seconds > number * cores * assume.busy or wait_p95(number * cores, rate, seconds) > seconds:
        number += max(number // 50, 1)
    return number


def plan(measured: Measured, assume: Assumptions, step: Step) -> Plan:
    """What the step needs."""
    mean_calls = step.pictures_a_day / DAY / assume.pictures_a_call
    calls, held = mean_calls * assume.peak, mean_calls * assume.peak * assume.mix["held"]
    pictures = calls * assume.pictures_a_call
    cpu = cpu_of_call(measured, assume)
    pods, mean_pods = (_pods(cpu, rate, assume) for rate in (calls, mean_calls))
    searches = sum(assume.mix[kind] for kind in ("edit", "variation", "check_upload"))
    search_cores = searches * measured.search_a_row * step.registered * calls / assume.busy
    demand = Demand(
        calls=calls,
        held=held,
        postgres_cores=cpu["postgres"] * calls / assume.busy + search_cores,
        search_cores=search_cores,
        connections=sum(number * assume.pod_connections[part] for part, number in pods.items()),
        search_seconds=measured.search_base + measured.search_a_row * step.registered,
        wal_bytes=calls * _mean(measured.wal_bytes, assume),
        volume_bytes=pictures * assume.picture_bytes,
        stored=_stored(measured, assume, step),
    )
    return Plan(
        step=step,
        pictures=pictures,
        pods=pods,
        gpus=max(math.ceil(pictures * assume.gpu_seconds / assume.gpu_busy), assume.least_pods),
        transactions=calls * _mean(measured.transactions, assume),
        broker_messages=held * PUBLISHED * TOUCHES,
        people=held / assume.peak * DAY * assume.case_seconds / assume.shift_seconds,
        demand=demand,
        cost=_money(assume, step, mean_pods, demand),
        limits=_limits(assume, demand),
    )


def _pods(cpu: Mapping[str, float], rate: float, assume: Assumptions) -> dict[str, int]:
    """By part; pictures are looked at and marked one by one, so that their work falls into as many tasks."""
    tasks = dict.fromkeys(("image_filter", "provenance"), assume.pictures_a_call)
    return {
        part: pods_for(rate * tasks.get(part, 1.0), cpu[part] / tasks.get(part, 1.0), cores, assume)
        for part, cores in assume.pod_cores.items()
    }


def cpu_of_call(measured: Measured, assume: Assumptions) -> Counter[str]:
    """CPU seconds of each part for the mean call."""
    total: Counter[str] = Counter()
    for kind, share in assume.mix.items():
        for part, seconds in measured.work.of_call(kind, assume.pictures(kind), assume.side).items():
            total[part] += share * seconds
    return total


def _mean(of_call: Mapping[str, float], assume: Assumptions) -> float:
    """Over all kinds of calls, as they were measured: with 4 pictures created, 3 edited or varied."""
    names = {"create": "create 4", "edit": "edit 3", "variation": "variation 3"}
    return sum(share * of_call[names.get(kind, kind)] for kind, share in assume.mix.items())


def _stored(measured: Measured, assume: Assumptions, step: Step) -> dict[str, float]:
    """Bytes by table and on the volume, when decisions have been kept for their months."""
    calls_a_day = step.pictures_a_day / assume.pictures_a_call
    kept = calls_a_day * DAYS_A_MONTH * assume.months_kept
    row, held = measured.row_bytes, assume.mix["held"]
    return {
        "decisions": kept * row["decisions"],
        "images": step.registered * row["images"],
        "image_hashes": step.registered * row["image_hashes"],
        "requests, evidence (24 h)": calls_a_day * (row["requests"] + row["evidence"]),
        "cases, their events": kept * held * (row["review_items"] + 4 * row["review_events"] + 3 * row["events"]),
        VOLUME: step.pictures_a_day * assume.picture_bytes,
    }


def _money(assume: Assumptions, step: Step, pods: Mapping[str, int], demand: Demand) -> dict[str, float]:
    """Dollars of a thousand pictures: pods follow the day's load, Postgres and disks do not."""
    thousands_an_hour = step.pictures_a_day / 24 / 1000
    thousands_a_month = thousands_an_hour * HOURS_A_MONTH

    def of_pods(*parts: str) -> float:
        return sum(pods[part] * assume.pod_cores[part] for part in parts) * assume.cpu_hour / thousands_an_hour

    volume = demand.stored[VOLUME] / 1e9
    disk = sum(demand.stored.values()) / 1e9 - volume
    cases = demand.held / assume.peak * 3600 / thousands_an_hour
    return {
        "door": of_pods("gateway"),
        "check of texts": of_pods("prompt_filter", "combo_filter"),
        "check of pictures": of_pods("image_filter"),
        "render (GPU)": assume.gpu_seconds * 1000 / assume.gpu_busy / 3600 * assume.gpu_hour,
        "mark, register": of_pods("provenance"),
        "desk (machines)": of_pods("review", "review_worker", "review_relay", "review_notifier"),
        "desk (people)": cases * assume.case_seconds / 3600 * assume.person_hour,
        "Postgres": math.ceil(demand.postgres_cores) * assume.postgres_cpu_hour / thousands_an_hour
        + disk * assume.disk_gb_month / thousands_a_month,
        "answers of 24 h": volume * assume.volume_gb_month / thousands_a_month,
    }


def _limits(assume: Assumptions, demand: Demand) -> tuple[Limit, ...]:
    stored = demand.stored
    longer_bands = "longer bands with uneven radii (registry.md)"
    own_machines = "the hashes on machines of their own, 32 bytes each in memory (registry.md)"
    found = [
        Limit("wait for the look-alike search", demand.search_seconds, assume.added_seconds, "s", longer_bands),
        Limit("a statement's time, by that search", demand.search_seconds, assume.statement_seconds, "s", own_machines),
        Limit(
            "processors of one Postgres", demand.postgres_cores, assume.postgres_cores, "cores",
            "the registry into a Postgres of its own, then tenants over several",
        ),
        Limit(
            "connections to one Postgres", demand.connections, assume.postgres_connections, "",
            "a pooler before it, with a session each for those who listen",
        ),
        Limit(
            "memory for the hashes' indexes", stored["image_hashes"], assume.postgres_memory_bytes * 0.75, "bytes",
            own_machines,
        ),
        Limit(
            "write-ahead log", demand.wal_bytes, assume.postgres_wal_bytes_a_second, "bytes/s",
            "the registry into a Postgres of its own, its manifests and sketches into an object store",
        ),
        Limit(
            "shared volume of answers", demand.volume_bytes, assume.volume_bytes_a_second, "bytes/s",
            "an object store for evidence (not built yet); JPEG or WebP instead of PNG",
        ),
        Limit(
            "a month's partition of decisions", stored["decisions"] / assume.months_kept, assume.partition_bytes,
            "bytes", "partitions by day",
        ),
    ]  # fmt: skip
    found += [
        Limit(
            "limits decided in one Postgres", demand.calls, LIMIT_DECISIONS, "a second", "tenants over several Postgres"
        ),
        Limit("claims of one queue", demand.held, CLAIMS, "a second", "routes to several queues, by policy"),
    ]
    return tuple(sorted(found, key=lambda limit: -limit.load))
