"""Furnishes a data home so that every service can start: keys, certificates, a first tenant and the default policy.

Everything is made once and kept: running it again changes only what is missing, expired or no longer true.
"""

from __future__ import annotations

import json
from pathlib import Path

from services.commands.default_policy import DEFAULT_POLICY
from services.core import clearance
from services.core.config import ROOMS, HouseSettings
from services.core.evidence import create_evidence_key
from services.core.rpc import tls
from services.core.secret_box import create_key
from services.core.secret_files import replace_secret
from services.core.store import policies, staff, tenants
from services.core.store.database import Connection, Database
from services.provenance.authority import create_authority, create_watermark_key
from services.provenance.settings import ProvenanceSettings
from services.review.console.second_factor import create_staff_key
from services.review.console.settings import ConsoleSettings

TENANT = "demo"
ANALYST = "analyst/demo"
OPERATOR = "portcullis up"
# As many roles as one person may try alone; what is sealed, and who is staff, is for others to be given.
FIRST_PERSON, FIRST_ROLES = "demo", ("analyst", "senior", "lead", "policy", "auditor")


async def provision(house: HouseSettings) -> list[str]:
    """Makes what the data home lacks and returns what was done, a line each.

    Raises Unavailable without Postgres, PolicyError if the default policy is broken.
    """
    make_keys(house.home)
    database = await Database.open(house.database(), max_size=1)
    try:
        async with database.transaction() as connection:
            await tenants.create_tenant(connection, TENANT)
            policy = await policies.ensure_default(connection, DEFAULT_POLICY.read_text(encoding="utf-8"), OPERATOR)
            made_key = await _keep_profile(connection, house)
            invited = await _invite_first(connection, house)
    finally:
        await database.close()
    lines = [f"policy {policy.policy_id[:12]} in force since {policy.activated_at:%Y-%m-%d %H:%M}"]
    if made_key:
        lines.append(f"made an API key for the tenant {TENANT!r}; it is in {house.home / 'client.json'}")
    if invited:
        lines.append(
            f"invited {FIRST_PERSON!r} to the console; the link, good once, is in {house.home / 'console.txt'}"
        )
    return lines


async def _invite_first(connection: Connection, house: HouseSettings) -> bool:
    """Invites a first person to a console that knows nobody, unless its provider of identities knows them."""
    settings = ConsoleSettings()
    if settings.oidc_issuer or await staff.everybody(connection):
        return False
    await staff.add(connection, FIRST_PERSON, FIRST_ROLES, None, OPERATOR)
    token = await staff.invite(connection, FIRST_PERSON, settings.invitation_seconds, OPERATOR)
    replace_secret(house.home / "console.txt", f"{settings.origin(house)}/join/{token}\n".encode())
    return True


def make_keys(home: Path) -> None:
    """Makes the keys and certificates that the data home lacks."""
    (home / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
    tls.create_ca(home / "tls")
    for identity in (*ROOMS, ANALYST):
        tls.issue_certificate(home / "tls", identity)
    clearance.create_keys(home / "keys" / "clearance")
    create_evidence_key(home / "keys" / "evidence.key")
    create_key(home / "keys" / "webhooks.key")
    if not ProvenanceSettings().key_is_elsewhere:
        create_authority(home / "keys" / "c2pa")
    create_watermark_key(home / "keys" / "watermark.key")
    create_staff_key(home / "keys" / "staff.key")


async def _keep_profile(connection: Connection, house: HouseSettings) -> bool:
    """Writes client.json where it is missing or no longer true; returns whether it needed a new API key."""
    path = house.home / "client.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    key = str(known.get("api_key", ""))
    made_key = not key or await tenants.authenticate(connection, key) is None
    if made_key:
        key = await tenants.create_api_key(connection, TENANT)
    certificate = tls.certificate_path(house.home / "tls", ANALYST)
    profile = {
        "address": house.target("gateway"),
        "api_key": key,
        "ca": str(house.home / "tls" / "ca.pem"),
        "review_address": house.target("review"),
        "analyst_cert": str(certificate),
        "analyst_key": str(certificate.with_suffix(".key")),
    }
    if profile != known:
        replace_secret(path, (json.dumps(profile, indent=2) + "\n").encode())
    return made_key
