"""The limiter: decisions a second, what 64 clients get beyond a limit, and the library `limits` on Redis beside it.

Run by `make bench` and `make bench-review`; prints a table and writes benchmarks/results/limiter.json. A decision is
one call of a client, charged to all limits that it touches, on an embedded Postgres of its own; one process is one
gateway.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import quantiles

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from rich.console import Console
from rich.table import Table

from benchmarks.house import postgres
from services.core.errors import Exhausted
from services.core.limits.charges import Charge, Use, Who, charges
from services.core.policy.limit_rules import Limit, LimitRules
from services.core.store.database import Database
from services.gateway.limiter import Limiter

RESULTS = Path(__file__).parent / "results"
SECONDS = 3.0
CLIENTS = 64
GATEWAYS = 4
GOAL = 5_000.0
GOAL_OVER = 0.001
PLENTY = 10**9

# What two of a library's limits can say; and all that the default policy says of a creating call.
TWO = {
    "account": Limit(kind="rate", limit=PLENTY, window_seconds=60.0, mode="enforce"),
    "tenant": Limit(kind="rate", per="tenant", limit=PLENTY, window_seconds=60.0, mode="enforce"),
}
DEFAULT = {
    name: limit.model_copy(update={"limit": PLENTY, "burst": None, "mode": "enforce"})
    for name, limit in LimitRules().named.items()
}
Decide = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Decisions a second, and how long one took."""

    per_second: float
    median_ms: float
    p95_ms: float


def main() -> None:
    """Measures on a Postgres (and a Redis, where its server is installed) made for it."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        with postgres.running(Path(folder)) as dsn:
            figures, over = asyncio.run(ours(dsn))
        with redis(Path(folder)) as url:
            peers = asyncio.run(theirs(url)) if url else {}
    report(console, figures, peers, over)


async def ours(dsn: str) -> tuple[dict[str, Figure], dict[str, float]]:
    """Our figures, and what was let in beyond a limit."""
    database = await Database.open(dsn)
    figures: dict[str, Figure] = {}
    for words, named in (("2 limits", TWO), ("default policy", DEFAULT)):
        for world, accounts in WORLDS.items():
            limiter = Limiter(database)
            figures[f"{words}, {world}"] = await drive(deciding(limiter, named), accounts)
            await limiter.settled()
    flooded = {"account": Limit(kind="rate", limit=60, window_seconds=60.0, mode="enforce"), "tenant": TWO["tenant"]}
    limiter = Limiter(database)
    figures["2 limits, a flood on one account that is over"] = await drive(deciding(limiter, flooded), WORLDS["hot"])
    await limiter.settled()
    over = await beyond(database)
    await database.close()
    return figures, over


def hot(numbers: Iterator[int]) -> str:
    """One account."""
    next(numbers)
    return "one"


def many(numbers: Iterator[int]) -> str:
    """10,000 accounts in turn."""
    return f"a{next(numbers) % 10_000}"


def mixed(numbers: Iterator[int]) -> str:
    """Every second call of one account, the others of 10,000."""
    number = next(numbers)
    return "one" if number % 2 else f"a{number % 10_000}"


WORLDS: dict[str, Callable[[Iterator[int]], str]] = {"hot": hot, "many": many, "mixed": mixed}


def deciding(limiter: Limiter, named: dict[str, Limit]) -> Decide:
    """One decision of ours: charged, and its slots given free."""

    async def decide(account: str) -> bool:
        try:
            limiter.release(await limiter.take(wanted(named, account)))
        except Exhausted:
            await asyncio.sleep(0)  # a refusal from memory never waits, and would keep the others from their turn
            return False
        return True

    return decide


def wanted(named: dict[str, Limit], account: str) -> list[Charge]:
    """What a creating call of an account asks for."""
    return charges(named, Use("create", 1, 64), Who("acme", account, "new"))


async def drive(decide: Decide, account: Callable[[Iterator[int]], str]) -> Figure:
    """64 clients, each asking again as soon as it was answered."""
    numbers, taken = count(), list[float]()

    async def client(until: float) -> None:
        while (started := time.perf_counter()) < until:
            await decide(account(numbers))
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(client(time.perf_counter() + 0.5) for _ in range(CLIENTS)))  # to warm up
    taken.clear()
    started = time.perf_counter()
    await asyncio.gather(*(client(started + SECONDS) for _ in range(CLIENTS)))
    cuts = quantiles(taken, n=20)
    return Figure(len(taken) / (time.perf_counter() - started), cuts[9] * 1000, cuts[18] * 1000)


async def beyond(database: Database) -> dict[str, float]:
    """What 64 clients at four gateways get of one account's 1,000 a second, against what it gives."""
    burst, rate = 200, 1_000
    named = {"account": Limit(kind="rate", limit=rate, window_seconds=1.0, burst=burst, mode="enforce")}
    gateways = [Limiter(database) for _ in range(GATEWAYS)]
    times: list[float] = []

    async def client(place: int, until: float) -> None:
        decide = deciding(gateways[place % GATEWAYS], named)
        while time.perf_counter() < until:
            if await decide("greedy"):
                times.append(time.perf_counter())

    started = time.perf_counter()
    await asyncio.gather(*(client(place, started + 2 * SECONDS) for place in range(CLIENTS)))
    for gateway in gateways:
        await gateway.settled()
    gives = burst + rate * (times[-1] - started)
    return {
        "admitted": len(times),
        "gives": gives,
        "over": max(0.0, len(times) / gives - 1),
        "used": len(times) / gives,
    }


async def theirs(url: str) -> dict[str, Figure]:
    """The library's figures: a moving window for the account, then one for the tenant; two commands a decision."""
    storage = RedisStorage(f"async+{url}", implementation="redispy", max_connections=CLIENTS)
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerMinute(PLENTY)

    async def decide(account: str) -> bool:
        return await limiter.hit(item, "acme", account) and await limiter.hit(item, "acme")

    return {f"2 limits, {world}": await drive(decide, accounts) for world, accounts in WORLDS.items()}


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of its own; empty where the server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield ""
        return
    socket = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.05)
        yield f"redis+unix://{socket}"
    finally:
        process.terminate()
        process.wait()


def report(console: Console, figures: dict[str, Figure], peers: dict[str, Figure], over: dict[str, float]) -> None:
    """Prints and writes it all."""
    table = Table("limits, accounts", "decisions/s", "median ms", "95% ms", "limits on Redis /s", "ratio")
    for name, figure in figures.items():
        peer = peers.get(name)
        beside = (f"{peer.per_second:,.0f}", f"{figure.per_second / peer.per_second:.1f}") if peer else ("–", "–")
        table.add_row(name, f"{figure.per_second:,.0f}", f"{figure.median_ms:.1f}", f"{figure.p95_ms:.1f}", *beside)
    table.title = f"the limiter, {CLIENTS} clients, {os.cpu_count()} cores; goal {GOAL:,.0f} a second"
    console.print(table)
    console.print(
        f"over-admission with {CLIENTS} clients at {GATEWAYS} gateways: {over['over']:.3%} (goal {GOAL_OVER:.1%});"
        f" {over['used']:.1%} of what the limit gives was used"
    )
    if not peers:
        console.print("redis-server is not installed: nothing to compare with")
    RESULTS.mkdir(exist_ok=True)
    results = {
        "decisions": {name: asdict(figure) for name, figure in figures.items()},
        "limits_on_redis": {name: asdict(figure) for name, figure in peers.items()},
        "over_admission": over,
        "goals": {"decisions_per_second": GOAL, "over_admission": GOAL_OVER},
    }
    (RESULTS / "limiter.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
