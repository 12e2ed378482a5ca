"""Words of prompts, ids of users and keys are found nowhere that people other than their analyst look."""

from __future__ import annotations

from urllib.request import urlopen

import pytest

from demo.inputs import ALLOWED, BLOCKED, DOUBTFUL, doubtful_photo, mask_of
from portcullis import PortcullisError

WORD = "zanzibarquux"
USER = "user-zanzibarquux"
METRICS = range(100, 109)  # ports above the first


@pytest.fixture(scope="module")
def spoken(client):
    """Prompts that are let through, refused, held and malformed, each with a word of its own and a user's id."""
    list(client.create_images(f"{ALLOWED} {WORD}", account=USER, count=1, seed=3))
    list(client.create_images(f"{BLOCKED} {WORD}", account=USER))
    photo = doubtful_photo()
    list(client.edit_images(f"{DOUBTFUL} {WORD}", photo, mask_of(photo), account=USER))
    for prompt in (f"{WORD}\x01", WORD * 400):
        with pytest.raises(PortcullisError) as caught:
            list(client.create_images(prompt, account=USER))
        assert WORD not in str(caught.value)
    with pytest.raises(PortcullisError):
        client.check_prompt(WORD, account=USER, request_id=WORD)


@pytest.mark.usefixtures("spoken")
def test_no_log_holds_them(house):
    told = house.log.read_text(errors="replace")
    assert "gateway" in told
    assert [secret for secret in (WORD, USER, house.profile.api_key) if secret in told] == []


@pytest.mark.usefixtures("spoken")
def test_no_metric_holds_them(house):
    pages = [urlopen(f"http://127.0.0.1:{house.port_base + port}/metrics").read().decode() for port in METRICS]
    assert all("portcullis_" in page for page in pages)
    assert [secret for secret in (WORD, USER, house.profile.api_key) for page in pages if secret in page] == []


@pytest.mark.usefixtures("spoken")
def test_no_file_of_the_house_holds_a_prompt_in_the_clear(house):
    found = [path for path in house.home.rglob("*") if path.is_file() and WORD.encode() in _content(path)]
    assert [path.relative_to(house.home).as_posix() for path in found] == []


def _content(path) -> bytes:
    """The user's id, which Postgres may hold, is taken out; a file that is gone meanwhile holds nothing."""
    try:
        return path.read_bytes().replace(USER.encode(), b"")
    except FileNotFoundError:
        return b""
