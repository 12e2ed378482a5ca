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
class Plan:
    """The answer for one step. Rates are those of the busiest hour, a second; money is dollars."""

    step: Step
    calls: float
    pictures: float
    pods: Mapping[str, int]
    gpus: int
    postgres_cores: float
    search_seconds: float
    transactions: float
    wal_bytes: float
    stored: Mapping[str, float]  # bytes by table, and those of the volume
    broker_messages: float
    people: float
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
    calls = mean_calls * assume.peak
    cpu = cpu_of_call(measured, assume)
    tasks = {part: max(_tasks(part, assume), 1e-9) for part in assume.pod_cores}
    pods, mean_pods = (
        {
            part: pods_for(rate * tasks[part], cpu[part] / tasks[part], cores, assume)
            for part, cores in assume.pod_cores.items()
        }
        for rate in (calls, mean_calls)
    )
    search = measured.search_base + measured.search_a_row * step.registered
    searches = sum(assume.mix[kind] for kind in ("edit", "variation", "check_upload"))
    postgres = (cpu["postgres"] + searches * search) * calls / assume.busy
    stored = _stored(measured, assume, step)
    wal = calls * _mean(measured.wal_bytes, assume)
    gpus = max(math.ceil(calls * assume.pictures_a_call * assume.gpu_seconds / assume.gpu_busy), 2)
    cases = assume.mix["held"] * mean_calls * DAY
    people = cases * assume.case_seconds / assume.shift_seconds
    volume = calls * assume.pictures_a_call * assume.picture_bytes
    money = _money(assume, step, mean_pods, mean_calls, postgres, stored)
    connections = sum(number * assume.pod_connections[part] for part, number in pods.items())
    limits = _limits(assume, postgres, connections, search, wal, volume, stored)
    return Plan(
        step, calls, calls * assume.pictures_a_call, pods, gpus, postgres, search,
        calls * _mean(measured.transactions, assume), wal, stored,
        assume.mix["held"] * calls * PUBLISHED * TOUCHES, people, money, limits,
    )  # fmt: skip


def cpu_of_call(measured: Measured, assume: Assumptions) -> Counter[str]:
    """CPU seconds of each part for the mean call."""
    total: Counter[str] = Counter()
    for kind, share in assume.mix.items():
        for part, seconds in measured.work.of_call(kind, assume.pictures(kind), assume.side).items():
            total[part] += share * seconds
    return total


def _tasks(part: str, assume: Assumptions) -> float:
    """Into how many tasks a part's work for a mean call falls: pictures are looked at and marked one by one."""
    return assume.pictures_a_call if part in ("image_filter", "provenance") else 1.0


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
        "volume (answers of 24 h)": step.pictures_a_day * assume.picture_bytes,
    }


def _money(
    assume: Assumptions,
    step: Step,
    pods: Mapping[str, int],
    mean_calls: float,
    postgres_cores: float,
    stored: Mapping[str, float],
) -> dict[str, float]:
    """Dollars of a thousand pictures: pods follow the day's load, Postgres and disks do not."""
    thousands_an_hour = step.pictures_a_day / 24 / 1000
    thousands_a_month = thousands_an_hour * HOURS_A_MONTH

    def of_pods(*parts: str) -> float:
        return sum(pods[part] * assume.pod_cores[part] for part in parts) * assume.cpu_hour / thousands_an_hour

    disk = sum(bytes_ for what, bytes_ in stored.items() if not what.startswith("volume")) / 1e9
    volume = stored["volume (answers of 24 h)"] / 1e9
    cases = assume.mix["held"] * mean_calls * 3600 / thousands_an_hour
    return {
        "door": of_pods("gateway"),
        "check of texts": of_pods("prompt_filter", "combo_filter"),
        "check of pictures": of_pods("image_filter"),
        "render (GPU)": assume.gpu_seconds * 1000 / assume.gpu_busy / 3600 * assume.gpu_hour,
        "mark, register": of_pods("provenance"),
        "desk (machines)": of_pods("review", "review_worker", "review_relay", "review_notifier"),
        "desk (people)": cases * assume.case_seconds / 3600 * assume.person_hour,
        "Postgres": math.ceil(postgres_cores) * assume.postgres_cpu_hour / thousands_an_hour
        + disk * assume.disk_gb_month / thousands_a_month,
        "answers of 24 h": volume * assume.volume_gb_month / thousands_a_month,
    }


def _limits(
    assume: Assumptions,
    postgres: float,
    connections: int,
    search: float,
    wal: float,
    volume: float,
    stored: Mapping[str, float],
) -> tuple[Limit, ...]:
    longer_bands = "longer bands with uneven radii (registry.md)"
    own_machines = "the hashes on machines of their own, 32 bytes each in memory (registry.md)"
    found = [
        Limit("wait for the look-alike search", search, assume.added_seconds, "s", longer_bands),
        Limit("a statement's time, by that search", search, assume.statement_seconds, "s", own_machines),
        Limit(
            "processors of one Postgres", postgres, assume.postgres_cores, "cores",
            "the registry into a Postgres of its own, then tenants over several",
        ),
        Limit(
            "connections to one Postgres", connections, assume.postgres_connections, "",
            "a pooler before it, with a session each for those who listen",
        ),
        Limit(
            "memory for the hashes' indexes", stored["image_hashes"], assume.postgres_memory_bytes * 0.75, "bytes",
            own_machines,
        ),
        Limit(
            "write-ahead log", wal, assume.postgres_wal_bytes_a_second, "bytes/s",
            "the registry into a Postgres of its own, its manifests and sketches into an object store",
        ),
        Limit(
            "shared volume of answers", volume, assume.volume_bytes_a_second, "bytes/s",
            "an object store for evidence (not built yet); JPEG or WebP instead of PNG",
        ),
        Limit(
            "a month's partition of decisions", stored["decisions"] / assume.months_kept, assume.partition_bytes,
            "bytes", "partitions by day",
        ),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda limit: -limit.load))
