"""`portcullis doctor --remote` on a running house: what it says of one that is well, and of each way not to be."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.core.rpc import tls

PORTCULLIS = Path(sys.executable).with_name("portcullis")


@pytest.fixture
def look(house, tmp_path):
    """Looks at the house from a machine that has nothing of it but what a platform is given."""

    def at(**changed: str) -> subprocess.CompletedProcess[str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith("PORTCULLIS_")}
        given = {
            "PORTCULLIS_HOME": str(tmp_path / "none"),
            "PORTCULLIS_ADDRESS": house.profile.address,
            "PORTCULLIS_API_KEY": house.profile.api_key,
            "PORTCULLIS_CA": str(house.profile.ca),
        }
        command = [PORTCULLIS, "doctor", "--remote"]
        return subprocess.run(command, env=own | given | changed, capture_output=True, text=True, timeout=120)

    return at


@contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def bad(told: str) -> list[str]:
    return re.findall(r"^✘ (.*)$", told, re.MULTILINE)


def test_a_house_that_is_well_is_said_to_be(look):
    seen = look()

    assert (seen.returncode, bad(seen.stdout)) == (0, []), seen.stdout + seen.stderr
    # On a busy machine a check may be called slow, which is a note.
    looked_at = set(re.findall(r"^[✔•] (certificate|authority|health|key|clock|policy|\w+ filter) ", seen.stdout, re.M))
    filters = {"prompt filter", "image filter", "combo filter"}
    assert looked_at == {"certificate", "authority", "health", "key", "clock", "policy", *filters}


def test_a_house_of_another_authority_is_not_trusted(look, tmp_path):
    tls.create_ca(tmp_path)

    seen = look(PORTCULLIS_CA=str(tmp_path / "ca.pem"))

    assert seen.returncode == 1
    assert bad(seen.stdout) == [f"certificate was signed by nobody that {tmp_path}/ca.pem names"]


def test_an_address_where_nobody_listens_is_told(look, house):
    seen = look(PORTCULLIS_ADDRESS=house.profile.address.replace("127.0.0.1", "127.0.0.2"))

    assert seen.returncode == 1
    assert bad(seen.stdout)[0].startswith("door nobody answers at 127.0.0.2:")


def test_a_revoked_key_is_told_with_what_makes_another(look, house):
    made = subprocess.run(
        [PORTCULLIS, "tenants", "key", "demo"], env=house.environment, capture_output=True, text=True, check=True
    )
    key = re.search(r"pk_([0-9a-f]{16})_\S{43}", made.stdout)
    subprocess.run([PORTCULLIS, "tenants", "revoke", key[1]], env=house.environment, check=True, capture_output=True)

    seen = look(PORTCULLIS_API_KEY=key[0])

    assert seen.returncode == 1
    assert bad(seen.stdout) == ["key UNAUTHENTICATED: this API key is not known, or was revoked"]
    assert "portcullis tenants key" in seen.stdout
    assert key[0] not in seen.stdout + seen.stderr


def test_a_room_that_hangs_is_named(look, pid_of):
    with stopped(pid_of("combo_filter")):
        seen = look()

    assert seen.returncode == 1
    (said,) = bad(seen.stdout)
    assert said.startswith("combo filter UNAVAILABLE: the combo filter is not available")


def test_a_port_that_speaks_no_tls_is_told(look, house):
    host, _, port = house.profile.address.rpartition(":")

    seen = look(PORTCULLIS_ADDRESS=f"{host}:{int(port) + 100}")  # its metrics

    assert (seen.returncode, bad(seen.stdout)) == (1, ["door whoever listens there does not speak TLS"])


def test_without_a_profile_it_says_what_to_set(look):
    seen = look(PORTCULLIS_ADDRESS="", PORTCULLIS_API_KEY="")

    assert seen.returncode == 1
    assert "PORTCULLIS_ADDRESS" in seen.stderr
