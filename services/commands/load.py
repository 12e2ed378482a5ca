"""`portcullis load`: as much work for a house as one likes, and what came of it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from portcullis.aio import AsyncClient
from portcullis.profile import home, load_profile
from services.commands.load_arrivals import poisson, recorded_times
from services.commands.load_mix import Ask, Mix, asks
from services.commands.load_ramp import Step, climb, ramp_figures, ramp_table
from services.commands.load_record import Recording, read
from services.commands.load_run import Rendering, Run
from services.commands.load_tally import Tally, usage_figures, usage_table
from services.commands.load_usage import RemoteMeter, Watch, local_meter
from services.commands.plain import told_plainly

INTERRUPTED = 130
TELL_SECONDS = 0.5
err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def load(
    rate: Annotated[float, typer.Option(min=0.001, help="Arrivals a second, on average; of --ramp the first.")] = 2.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long requests arrive; of --ramp, at each rate.")] = 60.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds at the begin that are not counted.")] = 5.0,
    ramp: Annotated[
        bool, typer.Option("--ramp", help="Raise the rate until the house is full, and say where.")
    ] = False,
    slower: Annotated[float, typer.Option(min=1, help="Of --ramp: full is a p95 so many times the first one.")] = 3.0,
    mix: Annotated[
        str, typer.Option(help="Shares of calls: create, edit, variation, check (or check_prompt, check_upload …).")
    ] = "create=70,edit=10,variation=10,check=10",
    violating: Annotated[float, typer.Option(min=0, max=1, help="Share that breaks the rules, in mild words.")] = 0.04,
    hostile: Annotated[
        float, typer.Option(min=0, max=1, help="Share in disguise, too long, or of bytes that are no picture.")
    ] = 0.01,
    recorded: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Requests of a JSONL file, at its times, in place of --mix."),
    ] = None,
    accounts: Annotated[int, typer.Option(min=1, help="End users that the requests are spread over.")] = 1000,
    count: Annotated[int, typer.Option(min=1, max=4, help="Pictures of each creating request.")] = 1,
    size: Annotated[int, typer.Option(min=0, help="Side in pixels; 0 for the model's own.")] = 0,
    steps: Annotated[int, typer.Option(min=0, max=100, help="Denoising steps; 0 for the model's default.")] = 0,
    deadline: Annotated[float, typer.Option(min=1, max=120, help="Seconds that a request may take.")] = 60.0,
    metrics: Annotated[
        list[str] | None, typer.Option(help="NAME=URL of a remote service's /metrics; may be given more than once.")
    ] = None,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the figures go, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests at the same times.")] = 1,
) -> None:
    """Put a house under load and report throughput, latency, refusals and what each service used.

    Requests arrive as users do: at random (Poisson), and without waiting for each other. Where the house cannot keep
    up, they pile up or are refused, as they would be. Latency counts from the moment at which a request was due, so
    that a wait is never left out ("coordinated omission").

    The house is the one that `portcullis create` would use: PORTCULLIS_ADDRESS, PORTCULLIS_API_KEY and PORTCULLIS_CA,
    or client.json in the data home. Of a house on this machine CPU, memory and open files are read from its processes,
    of a remote one from --metrics.

    The requests are real ones: they are recorded, they cost credits, and the violating ones give strikes to accounts
    named load-0, load-1 …; use a tenant of its own. Ctrl-C ends the arrivals and reports what there is, once more ends
    the waiting; the exit code is then 130.

    Examples:

      portcullis load --rate 3 --seconds 120 --report load.json

      portcullis load --mix check=1 --rate 20

      portcullis load --ramp --rate 1 --seconds 20

      portcullis load --recorded monday.jsonl --metrics gateway=http://10.0.0.7:7500/metrics
    """
    try:
        wanted = Mix(_shares(mix), violating, hostile)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with told_plainly():
        recording = read(recorded, Random(seed)) if recorded else None  # noqa: S311 - repeatable, not secret
    urls = dict(_pair(one, "--metrics") for one in metrics or [])
    plan = Plan(rate, seconds, warm_up, wanted, recording, accounts, Rendering(count, size, steps), seed)
    session = asyncio.run(_session(plan, deadline, urls, slower if ramp else None))
    figures = session.figures()
    session.show()
    if report:
        report.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if session.stopping.is_set():
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, and when; the same plan sends the same."""

    rate: float
    seconds: float
    warm_up: float
    mix: Mix
    recording: Recording | None
    accounts: int
    rendering: Rendering
    seed: int

    @property
    def times(self) -> tuple[float, ...]:
        """When the recorded requests came; empty where that is not recorded."""
        return self.recording.times if self.recording else ()

    @property
    def lasts(self) -> float:
        """Seconds from the start to the last arrival."""
        return self.times[-1] - self.times[0] if self.times else self.warm_up + self.seconds

    def arrivals(self, rate: float) -> Iterator[float]:
        """When requests arrive."""
        if self.times:
            return recorded_times(self.times)
        return poisson(rate, self.lasts, Random(f"{self.seed} {rate}"))  # noqa: S311 - repeatable, not secret

    def requests(self) -> Iterator[Ask]:
        """What they ask, in their order; a recording without times begins anew at its end."""
        if self.recording:
            return iter(self.recording.asks) if self.times else cycle(self.recording.asks)
        return asks(self.mix, self.accounts, Random(self.seed))  # noqa: S311 - repeatable, not secret


@dataclass(slots=True)
class Session:
    """One use of the command: what is being done, and what came of it."""

    plan: Plan
    client: AsyncClient
    watch: Watch | None
    view: Live
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    lasted: float = 0.0
    tallies: list[Tally] = field(default_factory=list[Tally])
    ramp: list[Step] | None = None

    async def measure(self, rate: float) -> Tally:
        """Sends the plan's requests at `rate` and returns what came of them."""
        plan = self.plan
        tally = Tally(plan.lasts, 0.0 if plan.times else plan.warm_up)
        self.tallies.append(tally)
        run = Run(self.client, plan.rendering, tally.add)
        telling = asyncio.create_task(self._tell(run, tally, rate))
        try:
            await run.go(plan.arrivals(rate), plan.requests(), self.stopping)
        finally:
            tally.seconds = min(tally.seconds, run.elapsed)
            telling.cancel()
        return tally

    async def _tell(self, run: Run, tally: Tally, rate: float) -> None:
        while True:
            left = 0.0 if self.stopping.is_set() else max(0.0, self.plan.lasts - run.elapsed)
            parts = [
                "as recorded" if self.plan.times else f"{rate:.2f}/s",
                f"{run.sent} sent, {run.in_flight} running, {tally.done} answered",
                f"{tally.overloaded:.0%} no room, {tally.failed:.0%} failed",
                f"p50 {tally.latency('p50'):.0f} ms, p99 {tally.latency('p99'):.0f} ms",
                f"{left:.0f} s left" if left else "waiting for the last answers",
            ]
            self.view.update(Text(" · ".join(parts), style="cyan"))
            await asyncio.sleep(TELL_SECONDS)

    def figures(self) -> dict[str, Any]:
        """What came of it, fit for JSON."""
        answered = sum(tally.done for tally in self.tallies)
        used = usage_figures(self.watch.used, self.lasted, answered) if self.watch else {}
        result = ramp_figures(self.ramp) if self.ramp is not None else self.tallies[0].figures()
        return {"stopped_early": self.stopping.is_set(), **result, "services": used}

    def show(self) -> None:
        """The same on the terminal."""
        figures = self.figures()
        if self.ramp is not None:
            out.print(ramp_table(self.ramp))
            point = figures["saturation_per_second"]
            known = "not found: it bears all that was tried" if not figures["found"] else "the most that was borne"
            out.print(f"saturation point: [bold]{point or 'below the first rate'}[/] requests/s ({known})")
        else:
            out.print(self.tallies[0].show("cut short" if self.stopping.is_set() else "latency from the due time"))
        if figures["services"]:
            out.print(usage_table(figures["services"]))
        else:
            out.print("[dim]what services used is not known: the house is elsewhere; name its --metrics[/]")


async def _session(plan: Plan, deadline: float, urls: dict[str, str], slower: float | None) -> Session:
    profile = load_profile()
    meter = RemoteMeter(urls) if urls else local_meter(profile, home())
    loop = asyncio.get_running_loop()
    with Live(console=err, transient=True, auto_refresh=True) as view:
        async with AsyncClient(profile, deadline=deadline) as client:
            session = Session(plan, client, Watch(meter) if meter else None, view)
            await client.check_prompt("a red circle", account="load-0")  # says now what is wrong with the profile
            begun = loop.time()
            async with _interruptible(session), _watching(session.watch):
                if slower is None:
                    await session.measure(plan.rate)
                else:
                    session.ramp = []
                    async with aclosing(climb(plan.rate, slower, session.measure)) as found:
                        async for step in found:
                            session.ramp.append(step)
                            if session.stopping.is_set():
                                break
            session.lasted = loop.time() - begun
    return session


@asynccontextmanager
async def _watching(watch: Watch | None) -> AsyncIterator[None]:
    """Looks at what services use, from before the block to after it."""
    if watch is None:
        yield
        return
    await watch.look()
    looking = asyncio.create_task(watch.keep_looking())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await watch.look()


@asynccontextmanager
async def _interruptible(session: Session) -> AsyncIterator[None]:
    """Ctrl-C ends the arrivals; once more, it ends the block."""
    task = asyncio.current_task()
    assert task is not None, "it runs in one"

    def interrupt() -> None:
        if session.stopping.is_set():
            task.cancel()
        session.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not session.stopping.is_set():
            raise
        task.uncancel()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, share = _pair(part.strip(), "--mix")
        try:
            shares[name] = float(share)
        except ValueError:
            raise typer.BadParameter(f"--mix: {share!r} is no number") from None
    return shares


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise typer.BadParameter(f"{option}: {text!r} must be NAME=VALUE")
    return name, value
