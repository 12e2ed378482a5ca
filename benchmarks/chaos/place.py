"""The house that faults are tried on: every room in a process of its own under the house's own supervisor.

Between any two of them lies a `Link`. Postgres and the broker run beside it, as a cluster would run them: whoever keeps
them starts them again when they end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from psycopg.conninfo import make_conninfo
from rich.console import Console

from benchmarks.brokers import Broker, Server
from benchmarks.chaos.link import Link
from portcullis.profile import Profile
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.load_usage import service_of
from services.commands.log_view import LogView
from services.commands.parts import POSTGRES, Layer, Part, parts_for
from services.commands.ports import free_base
from services.commands.provision import TENANT, provision
from services.commands.readiness import database_answers, errand_works, is_serving
from services.commands.supervisor import IsReady, Keeper, stop_in_order
from services.core.config import ROOMS, HouseSettings
from services.core.policy.document import load_policy
from services.core.store import policies, tenants
from services.core.store.database import migrate, single_transaction
from services.core.store.embedded import DATABASE, SOCKET, SYSTEM_USER

OTHER_TENANT = "other"
CREDITS = "\nlimits:\n  credits: {mode: enforce, first_month: 1000, monthly: 1000}\n"
DISK_MIB = {"evidence": 1024, "postgres": 2048}  # of memory, taken as it is used
BROKER_AGAIN_SECONDS = 1.0
DRAIN_SECONDS = 5.0
# So that a row of the table takes seconds: what has a deadline here has a longer one by default.
QUICKER = {
    "PORTCULLIS_GATEWAY_CHECK_SECONDS": "8",
    "PORTCULLIS_DRAIN_SECONDS": str(DRAIN_SECONDS),
    "PORTCULLIS_LOG_LEVEL": "info",
    "PORTCULLIS_REVIEW_UNDO_SECONDS": "2",
    "PORTCULLIS_REVIEW_STALLED_SECONDS": "10",
    "PORTCULLIS_REVIEW_VISIBILITY_SECONDS": "10",
}


class ChaosHouse:
    """One house with a link before each of its servers."""

    def __init__(self, folder: Path, models: Mapping[str, str], broker: Server) -> None:
        """All files lie in `folder`; `models` are settings that name models other than the shipped."""
        self.folder = folder
        self.home, self.postgres_home = folder / "home", folder / "pg"
        self.links: dict[str, Link] = {}
        self.keepers: dict[str, Keeper] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._log = (folder / "house.log").open("w", encoding="utf-8")
        names = [part.name for part in (POSTGRES, *parts_for(()))]
        self._view = LogView(Console(file=self._log, width=200), names)
        self._broker = Broker(broker, folder / "broker")
        self._models = models
        self.keys: dict[str, str] = {}

    @property
    def settings(self) -> HouseSettings:
        """As the rooms have them."""
        return HouseSettings()

    @property
    def own_dsn(self) -> str:
        """The way to Postgres that no fault lies on, for the books."""
        return make_conninfo(user=SYSTEM_USER, dbname=DATABASE, host=str(self.postgres_home / "postgres" / "data"))

    def profile(self, tenant: str) -> Profile:
        """How a tenant reaches the front door."""
        mine = Profile.model_validate_json((self.home / "client.json").read_text(encoding="utf-8"))
        return mine.model_copy(update={"api_key": self.keys[tenant]})

    async def start(self) -> None:
        """Everything, until it answers."""
        self._broker.start()
        await self._lay_links()
        self._mount()
        postgres = Keeper(POSTGRES, self._postgres_answers, self._view, {"PORTCULLIS_HOME": str(self.postgres_home)})
        await self._keep(postgres)
        await asyncio.to_thread(migrate, self.own_dsn)
        await provision(self.settings)
        await self._govern()
        self._keeping.add(asyncio.create_task(self._keep_broker()))
        for part in parts_for(()):
            await self._keep(self.keeper(part))

    async def stop(self) -> None:
        """Everything, Postgres last."""
        for link in self.links.values():
            link.delay = 0.0
            link.passing.set()
        await stop_in_order(list(self.keepers.values()), DRAIN_SECONDS)
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for link in self.links.values():
            await link.close()
        self._broker.kill()
        self._unmount()
        self._log.close()

    def keeper(self, part: Part, environment: Mapping[str, str] | None = None) -> Keeper:
        """A keeper for one part, with more in its environment where a fault wants that."""
        return Keeper(part, self._readiness(part), self._view, environment or {})

    async def replace(self, name: str, environment: Mapping[str, str]) -> Keeper:
        """Ends a part and starts it anew with something else in its environment; does not wait until it is ready."""
        old = self.keepers[name]
        await old.stop(DRAIN_SECONDS)
        new = self.keeper(old.part, environment)
        await self._keep(new, wait=False)
        return new

    def processes(self, name: str) -> list[psutil.Process]:
        """The process of a part, and all that it started, itself first; none while it is away."""
        if name == "broker":
            if self._broker.process is None or self._broker.process.poll() is not None:
                return []
            started = psutil.Process(self._broker.process.pid)  # RabbitMQ's is a script, the server its child
            return [started, *started.children(recursive=True)]
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if service_of(child.cmdline()) == name:
                    return [child, *child.children(recursive=True)]
        return []

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to a part and to all that it started."""
        for process in self.processes(name):
            with suppress(psutil.Error):
                process.send_signal(number)

    def disk(self, name: str) -> Path:
        """Where the small disk `evidence` or `postgres` is mounted."""
        return self.home / "evidence" if name == "evidence" else self.postgres_home

    async def _lay_links(self) -> None:
        base = free_base()
        hosts: dict[str, str] = {}
        front = base + 50
        for offset, room in enumerate(ROOMS):
            self.links[room] = Link(("127.0.0.1", front + offset), ("127.0.0.1", base + offset))
            hosts[room] = f"127.0.0.1:{front + offset}"
        broker = urlsplit(self._broker.url)
        self.links["broker"] = Link(("127.0.0.1", front + 20), (broker.hostname or "", broker.port or 0))
        way = self.folder / "way"
        self.links["postgres"] = Link(way / SOCKET, self.postgres_home / "postgres" / "data" / SOCKET)
        for link in self.links.values():
            await link.open()
        os.environ |= {
            **QUICKER,
            **self._models,
            "PORTCULLIS_HOME": str(self.home),
            "PORTCULLIS_PORT_BASE": str(base),
            "PORTCULLIS_HOSTS": str(hosts).replace("'", '"'),
            "PORTCULLIS_BROKER_URL": self._broker.url.replace(f":{broker.port}", f":{front + 20}"),
            "PORTCULLIS_DSN": make_conninfo(user=SYSTEM_USER, dbname=DATABASE, host=str(way)),
        }

    def _mount(self) -> None:
        """Disks of their own for what is written, so that they can be full; they need root."""
        for name, mib in DISK_MIB.items():
            self.disk(name).mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", self.disk(name)]
                subprocess.run(command, check=True)

    def _unmount(self) -> None:
        for name in DISK_MIB:
            subprocess.run(["umount", self.disk(name)], check=False)

    async def _keep(self, keeper: Keeper, *, wait: bool = True) -> None:
        self.keepers[keeper.part.name] = keeper
        keeping = asyncio.create_task(keeper.keep())
        self._keeping.add(keeping)
        if not wait:
            return
        ready = asyncio.create_task(keeper.ready.wait())
        await asyncio.wait({ready, keeping}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if keeping.done():
            keeping.result()

    async def _keep_broker(self) -> None:
        """Starts the broker again when it has ended, as whoever runs it would."""
        while True:
            await asyncio.sleep(BROKER_AGAIN_SECONDS)
            if self._broker.process is not None and self._broker.process.poll() is not None:
                await asyncio.to_thread(self._broker.start)

    def _readiness(self, part: Part) -> IsReady:
        if part.layer is Layer.ERRAND:
            return partial(errand_works, self.settings, part.name)
        return partial(is_serving, self.settings, part.name)

    async def _postgres_answers(self) -> bool:
        if not (self.postgres_home / "postgres.dsn").exists():
            return False
        return await database_answers(HouseSettings(dsn=self.own_dsn))

    async def _govern(self) -> None:
        """A second tenant, keys, and a policy that counts credits."""
        policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8") + CREDITS, "chaos")
        async with single_transaction(self.own_dsn) as conn:
            await tenants.create_tenant(conn, OTHER_TENANT)
            self.keys = {tenant: await tenants.create_api_key(conn, tenant) for tenant in (TENANT, OTHER_TENANT)}
            await policies.put(conn, policy, "chaos")
            await policies.activate(conn, policy.id, "chaos", datetime.now(UTC))


@asynccontextmanager
async def running(folder: Path, models: Mapping[str, str], broker: Server) -> AsyncIterator[ChaosHouse]:
    """A house for the length of a block."""
    house = ChaosHouse(folder, models, broker)
    try:
        await house.start()
        yield house
    finally:
        await house.stop()
