"""The gateway's books and a running review service on one Postgres; verdicts by the real judge on injected scores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import review_pb2, review_pb2_grpc
from portcullis.v1.generator_pb2 import RenderedImage
from services.commands.default_policy import DEFAULT_POLICY
from services.core.clearance import ISSUERS, create_keys
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.categories import Stage
from services.core.policy.coverage import REQUIRED
from services.core.policy.source import ActivePolicy
from services.core.rpc import convert, tls
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.rpc.judge import Judge
from services.core.signals import Box, Measurement, ModelVersion, Signal, TextSpan, with_zeros
from services.core.store import embedded, policies, review_items, tenants
from services.core.store.database import Database
from services.core.store.review_items import Resolution
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk
from services.gateway.held import Kept
from services.gateway.order import Order
from services.gateway.stop import Stop
from services.review.__main__ import build
from services.review.tasks import settle_decided
from tests.rooms import as_room

TENANT, ACCOUNT = "acme", "user-1"
PROMPT, NEGATIVE, PICTURE, REQUEST = "a poster", "no text", b"a picture", "ab" * 32
MODELS = (ModelVersion("prompt-linear", "1", "cd" * 32), ModelVersion("people", "2"))
SUBJECT = pb.Subject(tenant=TENANT, account=ACCOUNT, tier=pb.TIER_NEW)
DOUBT = {"political": 0.7}


class HeldHouse:
    """Records held requests as the gateway does, has people decide them, and asks for clearances as the gateway."""

    def __init__(self, house: HouseSettings, db: Database, evidence: EvidenceStore, policy: ActivePolicy):
        self.house = house
        self.db = db
        self.evidence = evidence
        self.desk = Desk(db, evidence, policy, timedelta(days=1))
        self._judges: Mapping[Stage, Judge] = {
            stage: Judge.load(house, issuer, policy)
            for issuer in ISSUERS
            if issuer != "review"
            for stage in ISSUERS[issuer]
        }

    def stop(self, stage: Stage, scores: Mapping[str, float], index: int = 0) -> Stop:
        """A check of `stage` on what was injected, with every kind of evidence that a signal can have."""
        where = Box(1, 2, 3, 4) if stage in ("upload", "output") else TextSpan(0, 3, "undressed")
        signals = [Signal(name, score, "test/1", where) for name, score in scores.items()]
        picture = b"" if stage == "prompt" else PICTURE + bytes([index])
        text = stage != "upload"
        bare = Stop(
            convert.STAGE_NUMBERS[stage],
            pb.Check(),
            index,
            prompt=PROMPT if text else "",
            negative_prompt=NEGATIVE if text else "",
            image=picture,
            request_digest=REQUEST if stage == "output" else "",
        )
        measured = Measurement(with_zeros(signals, REQUIRED[stage], "test/1"), MODELS)
        check = self._judges[stage].judge(SUBJECT, stage, bare.digests, measured)
        return Stop(bare.stage, check, index, bare.prompt, bare.negative_prompt, picture, b"", bare.request_digest)

    async def record(self, *stops: Stop, operation: str = "create") -> UUID:
        """A request that came to these stops, as the gateway's record leaves it."""
        case = await self.desk.admit(TENANT, ACCOUNT, uuid4(), b"content", Use("create"))
        assert isinstance(case, Case)
        order = Order(pb.OPERATION_CREATE, 4, 7, 0, 0, pb.IMAGE_FORMAT_PNG, PROMPT, NEGATIVE)
        outputs = [stop.index for stop in stops if stop.stage == pb.STAGE_OUTPUT and stop.held]
        drawn = tuple(RenderedImage(index=index, seed=7 + index).SerializeToString() for index in outputs)
        kept = Kept(order=order, drawn=drawn) if any(stop.held for stop in stops) else None
        await self.desk.record(case, Outcome(operation, stops, lambda _items: [], kept=kept))
        return case.decision_id

    async def decide(self, decision_id: UUID, *resolutions: Resolution, settle: bool = True) -> Sequence[UUID]:
        """Has a person decide the cases of a decision, in the order of its stops; settled unless told otherwise."""
        async with self.db.transaction() as conn:
            cursor = await conn.execute(
                "SELECT item_id FROM review_items JOIN stops USING (decision_id) WHERE decision_id = %s"
                " AND stops.prompt IS NOT DISTINCT FROM review_items.prompt"
                " AND stops.image IS NOT DISTINCT FROM review_items.image ORDER BY place",
                [decision_id],
            )
            items = [row[0] for row in await cursor.fetchall()]
            for item, resolution in zip(items, resolutions, strict=True):
                await conn.execute(
                    "UPDATE review_items SET state = 'decided', resolution = %s, decided_by = 'analyst/alice',"
                    " decided_at = now(), effective_at = now(), due_at = now() WHERE item_id = %s",
                    [resolution, item],
                )
        for item in items if settle else ():
            assert await settle_decided(self.db, item)
        return items

    async def clear(
        self, decision_id: UUID, *, account: str = ACCOUNT, tenant: str = TENANT, identity: str = "gateway"
    ) -> Sequence[review_pb2.ReleasedStop]:
        """What ClearDecision answers."""
        request = review_pb2.ClearDecisionRequest(
            subject=pb.Subject(tenant=tenant, account=account), decision_id=str(decision_id)
        )
        async with connect(self.house, identity, "review") as channel:
            stub = review_pb2_grpc.ReviewServiceStub(channel)
            return (await stub.ClearDecision(request, timeout=10, wait_for_ready=True)).stops

    async def items(self, decision_id: UUID) -> Sequence[UUID]:
        """The cases of a decision."""
        async with self.db.transaction() as conn:
            return await review_items.of_decision(conn, decision_id)


@asynccontextmanager
async def held_house(home: Path, postgres_dsn: str, port_base: int) -> AsyncIterator[HeldHouse]:
    """A house on a fresh database, whose review service answers over mutual TLS."""
    name = f"held{uuid4().hex}"
    with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
        names = (sql.Identifier(name), sql.Identifier(embedded.DATABASE))
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*names))
    dsn = make_conninfo(postgres_dsn, dbname=name)
    db = await Database.open(dsn)
    async with db.transaction() as connection:
        await tenants.create_tenant(connection, TENANT)
        await policies.ensure_default(connection, DEFAULT_POLICY.read_text(encoding="utf-8"), "test")
    tls.create_ca(home / "tls")
    for identity in ("review", "gateway", "generator", "analyst/alice"):
        tls.issue_certificate(home / "tls", identity)
    create_evidence_key(home / "keys" / "evidence.key")
    create_keys(home / "keys" / "clearance")
    house = HouseSettings(home=home, dsn=dsn, port_base=port_base, drain_seconds=1)
    evidence = EvidenceStore(home / "evidence", home / "keys" / "evidence.key")
    stopping = asyncio.Event()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PORTCULLIS_REVIEW_METRICS_PORT", "0")
        task = asyncio.create_task(servers.serve("review", build, as_room(house, "review"), stopping))
        yield HeldHouse(house, db, evidence, await ActivePolicy.load(db, 600))
        stopping.set()
        await task
    await db.close()
