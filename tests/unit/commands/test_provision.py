"""A data home is furnished once and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.store import policies, staff, tenants


@pytest.fixture
def house(tmp_path, database, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    return HouseSettings()


def contents(home):
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


async def test_a_second_time_changes_nothing(house):
    await provision(house)
    first = contents(house.home)
    await provision(house)
    assert contents(house.home) == first


async def test_secrets_are_for_their_owner_alone(house):
    await provision(house)
    secrets = [*house.home.rglob("*.key"), *house.home.glob("keys/clearance/*.pem"), house.home / "client.json"]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    folders = [house.home / "tls", house.home / "keys", *filter(Path.is_dir, (house.home / "keys").iterdir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


async def test_a_first_person_is_invited_to_the_console(house, db):
    lines = await provision(house)
    path = house.home / "console.txt"
    link = path.read_text().strip()
    async with db.transaction() as connection:
        found = await staff.invitation(connection, link.rpartition("/")[2])
    assert found is not None
    assert found.name == "demo"
    assert (path.stat().st_mode & 0o777, link.startswith("http://127.0.0.1:")) == (0o600, True)
    assert any(str(path) in line for line in lines)


async def test_the_profile_opens_the_door(house, db):
    await provision(house)
    profile = json.loads((house.home / "client.json").read_text())
    async with db.transaction() as connection:
        known = await tenants.authenticate(connection, profile["api_key"])
    assert known is not None
    assert known.tenant == "demo"


async def test_the_default_policy_is_in_force(house, db):
    await provision(house)
    async with db.transaction() as connection:
        assert await policies.active(connection) is not None


async def test_a_new_database_gets_a_new_key(house):
    await provision(house)
    path = house.home / "client.json"
    profile = json.loads(path.read_text())
    path.write_text(json.dumps({**profile, "api_key": "pk_0123456789abcdef_of-another-database"}))
    assert any("API key" in line for line in await provision(house))
    assert json.loads(path.read_text())["api_key"].startswith("pk_")


async def test_other_ports_change_the_profile_and_not_the_key(house):
    await provision(house)
    before = json.loads((house.home / "client.json").read_text())
    await provision(house.model_copy(update={"port_base": 9000}))
    after = json.loads((house.home / "client.json").read_text())
    assert (after["address"], after["api_key"]) == ("127.0.0.1:9000", before["api_key"])


async def test_no_signing_key_is_made_where_it_is_elsewhere(house, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_SIGN_WITH", "house_kms:sign")
    await provision(house)
    assert not (house.home / "keys" / "c2pa").exists()
