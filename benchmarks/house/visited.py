"""What somebody looks at in the console: an address for each of its pages, and more where a page can be told more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import numpy as np

from benchmarks.house.past import BUSY
from benchmarks.house.postgres import TENANT
from benchmarks.house.waiting import REASON
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.imaging_png import write_png
from services.core.policy.review_rules import ReviewRules
from services.core.staff import ROLES, Analyst
from services.core.store import claims, decisions, evidence_rows, review_items, sessions, staff
from services.core.store.database import Connection, single_transaction
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem, Place
from services.core.verdicts import Verdict
from services.review import page_token
from services.review.console import claimed, second_factor
from services.review.console.app import PAGES
from services.review.console.door import COOKIE
from services.review.routing import route

# One of those who judged the past, and may see all but what is sealed: whose pages have most to leave out.
PERSON = Analyst("7", frozenset(ROLES) - {"sealed"})
LEASE_SECONDS = 3600
# Not pages of the desk's people: they lead on, or are for those who are not in yet.
ELSEWHERE = {"/", "/health", "/static/{name}", "/login", "/login/callback", "/join/{token}", "/audit/items"}
ASKING = {"/policy/diff"}  # nothing without a query


@dataclass(frozen=True, slots=True)
class Visit:
    """Addresses by what they are called in the table, and the cookies of who looks at them."""

    pages: Mapping[str, str]
    cookie: str


async def prepare(dsn: str, home: Path) -> Visit:
    """Makes the keys of a filled house, signs a person in and hands them a case with a picture."""
    create_evidence_key(home / "keys" / "evidence.key")
    second_factor.create_staff_key(home / "keys" / "staff.key")
    evidence = EvidenceStore(home / "evidence", home / "keys" / "evidence.key")
    async with single_transaction(dsn) as conn:
        await staff.add(conn, PERSON.name, PERSON.roles, None, "bench")
        session = await sessions.begin(conn, PERSON.name)
        held = await _pictured(conn, evidence)
        claim = await claims.claim(conn, held, PERSON, LEASE_SECONDS)
        told = await _told(conn, held)
    cookie = f"{COOKIE}={session}; {claimed.PREFIX}{held}={claim.token}"
    return Visit(_pages(told), cookie)


def _pages(told: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """All pages of the console by their paths; raises LookupError for one that must be told something and is not."""
    pages: dict[str, str] = {}
    for path in (page.path for page in PAGES if page.method == "GET" and page.path not in ELSEWHERE):
        plain: dict[str, str] = {} if "{" in path or path in ASKING else {"": path}
        addresses = {**plain, **told.get(path, {})}
        if not addresses:
            raise LookupError(f"{path} is not told what to show")
        pages.update({f"{path} {what}".strip(): address for what, address in addresses.items()})
    return pages


async def _told(conn: Connection, held: UUID) -> dict[str, dict[str, str]]:
    """What pages are told, by their paths, and what that is called."""
    report, appeal, suspension = [
        await _one(conn, f"item_id FROM review_items WHERE kind = '{kind}' AND state = 'queued'")
        for kind in ("report", "appeal", "suspension")
    ]
    crowd = await _one(conn, "leader FROM review_items WHERE leader IS NOT NULL")
    settled = await _one(conn, f"item_id FROM review_items WHERE account = '{BUSY}' AND state = 'decided'")
    middle = await _one(
        conn, "turn_at FROM review_items ORDER BY turn_at OFFSET (SELECT count(*) / 2 FROM review_items)"
    )
    last = await _one(conn, "turn_at FROM review_items WHERE state = 'decided' ORDER BY turn_at DESC")
    policies = [await _one(conn, f"policy_id FROM policies WHERE created_by {how} 'before'") for how in ("=", "<>")]
    half = await _one(conn, "max(event_id) / 2 FROM audit_events")
    return {
        "/cases": {
            **{f"?state={state}": f"/cases?state={state}" for state in ("pending", "queued", "claimed", "decided")},
            "?queue=default&state=queued": "/cases?queue=default&state=queued",
            "?queue=appeals": "/cases?queue=appeals",
            "in the middle": f"/cases?after={_after(middle)}",
            "after the last decided": f"/cases?state=decided&after={_after(last)}",
        },
        "/cases/{item}": {
            "in hand, with a picture": f"/cases/{held}",
            "settled": f"/cases/{settled}",
            "of 1,000 near-duplicates": f"/cases/{crowd}",
            "report": f"/cases/{report}",
            "appeal": f"/cases/{appeal}",
            "suspension": f"/cases/{suspension}",
        },
        "/cases/{item}/picture": {"blurred": f"/cases/{held}/picture?part=image"},
        "/accounts/{tenant}/{account:path}": {
            "usual": f"/accounts/{TENANT}/user-100",
            "busy": f"/accounts/{TENANT}/{BUSY}",
        },
        "/banks/{kind}/{tenant}/{bank}": {
            "words": f"/banks/words/{TENANT}/words-1",
            "people": "/banks/people/*/people",
            "people, none found": "/banks/people/*/people?like=nobody",
            "images": "/banks/images/*/pictures",
            "images, none found": "/banks/images/*/pictures?like=nothing",
        },
        "/policy/diff": {"": f"/policy/diff?before={policies[0]}&after={policies[1]}"},
        "/audit": {
            "?action=staff": "/audit?action=staff",
            "?actor, none found": "/audit?actor=operator",
            "in the middle": f"/audit?before={half}",
        },
        "/audit/items/{item}": {"": f"/audit/items/{held}"},
    }


async def _one(conn: Connection, what: str) -> Any:
    row = await (await conn.execute(f"SELECT {what} LIMIT 1")).fetchone()
    assert row is not None, "the house is filled"
    return row[0]


def _after(turn_at: datetime) -> str:
    return quote(page_token.encode(Place(turn_at, UUID(int=0))))


async def _pictured(conn: Connection, evidence: EvidenceStore) -> UUID:
    """A case of an upload, in its queue."""
    picture = evidence.put(write_png(np.random.default_rng(7).integers(0, 256, (1024, 1024, 3), np.uint8)))
    item = NewReviewItem(uuid4(), "upload", Verdict.REVIEW, (REASON,), held=True, sealed=False, image=picture.id)
    made = (uuid4(), uuid4(), TENANT, BUSY, "edit", Verdict.REVIEW, (REASON,), (), "ab" * 32, (), {})
    await evidence_rows.record(conn, TENANT, "image", picture, timedelta(days=1))
    await decisions.record(conn, Decision(*made), [item])
    opened = await review_items.get(conn, item.item_id)
    assert opened is not None, "it was written"
    await review_items.route(conn, item.item_id, route(opened, ReviewRules(), opened.created_at), "review")
    return item.item_id
