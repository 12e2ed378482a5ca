"""What calls cost a running house: CPU seconds of each of its parts, transactions, log and files written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from demo.running import RunningHouse
from services.commands.parts import ERRANDS, POSTGRES
from services.core.config import ROOMS

MODULES = {f"services.{room}": room for room in ROOMS} | {part.module: part.name for part in (*ERRANDS, POSTGRES)}
# Errands answer after the caller has gone: what they still do for a call is counted, and nothing of the next.
SETTLE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs. `cpu` are seconds by part, `seconds` how long callers waited, the middle one."""

    cpu: dict[str, float]
    transactions: float
    wal_bytes: float
    evidence_bytes: float
    seconds: float


@dataclass(slots=True)
class Meter:
    """Reads the counters of a house; what it does when nobody calls, a second, is taken off."""

    house: RunningHouse
    idle: dict[str, float] = field(default_factory=dict[str, float])
    idle_books: tuple[float, float] = (0, 0)

    def learn_idle(self, seconds: float) -> None:
        """Watches the house while nobody calls."""
        before, books = self.cpu(), self._books()
        time.sleep(seconds)
        now = self._books()
        self.idle = {part: used / seconds for part, used in (self.cpu() - before).items()}
        self.idle_books = ((now[0] - books[0]) / seconds, (now[1] - books[1]) / seconds)

    def cost(self, times: int, call: Callable[[int], object]) -> Cost:
        """The cost of one of `times` calls, one after the other, after one to warm up."""
        call(times)
        time.sleep(SETTLE_SECONDS)
        cpu, books, files, begun = self.cpu(), self._books(), self._evidence(), time.perf_counter()
        waited: list[float] = []
        for number in range(times):
            asked = time.perf_counter()
            call(number)
            waited.append(time.perf_counter() - asked)
        time.sleep(SETTLE_SECONDS)
        elapsed = time.perf_counter() - begun
        used, now = self.cpu() - cpu, self._books()
        return Cost(
            cpu={part: max(used[part] - self.idle.get(part, 0) * elapsed, 0) / times for part in cpu},
            transactions=max(now[0] - books[0] - self.idle_books[0] * elapsed, 0) / times,
            wal_bytes=max(now[1] - books[1] - self.idle_books[1] * elapsed, 0) / times,
            evidence_bytes=(self._evidence() - files) / times,
            seconds=sorted(waited)[len(waited) // 2],
        )

    def cpu(self) -> Counter[str]:
        """CPU seconds of each part since its start, its helper processes among them."""
        used: Counter[str] = Counter()
        for process in psutil.Process(self.house.process.pid).children():
            module = next((word for word in process.cmdline() if word in MODULES), "")
            if module:
                used[MODULES[module]] += sum(map(_seconds, [process, *process.children(recursive=True)]))
        return used

    def memory(self) -> dict[str, float]:
        """Bytes that each part holds for itself alone."""
        held: dict[str, float] = {}
        for process in psutil.Process(self.house.process.pid).children():
            module = next((word for word in process.cmdline() if word in MODULES), "")
            if module:
                family = [process, *process.children(recursive=True)]
                held[MODULES[module]] = sum(member.memory_full_info().uss for member in family)
        return held

    def _books(self) -> tuple[int, int]:
        """Transactions and bytes of write-ahead log so far."""
        with psycopg.connect((self.house.home / "postgres.dsn").read_text().strip()) as conn:
            row = conn.execute(
                "SELECT (SELECT sum(xact_commit) FROM pg_stat_database)::bigint,"
                " (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
            ).fetchone()
        assert row is not None, "an aggregate has a row"
        return row

    def _evidence(self) -> int:
        return sum(path.stat().st_size for path in Path(self.house.home / "evidence").rglob("*") if path.is_file())


def _seconds(process: psutil.Process) -> float:
    """Its own, and those of children that it has waited for; 0 for one that has just gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
