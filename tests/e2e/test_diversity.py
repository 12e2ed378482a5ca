"""A prompt about nobody in particular, through the front door of a house whose model draws any words."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from demo.running import RunningHouse, running_house
from portcullis import Client
from portcullis.v1 import gateway_pb2
from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from tests.e2e.conftest import SETTINGS, activate
from tests.integration.open_model import open_model

# What the filter refuses is put in the mouth of prompts about several people, to see that nobody has to pay for it.
POLICY = (
    DEFAULT_POLICY.read_text(encoding="utf-8")
    + """
diversity:
  mode: enforce
  axes:
    - phrases: {East Asian: 0.3, Black: 0.3, White: 0.4}
    - {people: several, place: after, phrases: {having sex naked: 1.0}}
"""
)
ASKED = "a photo of a doctor"
ROOMS = ("gateway", "prompt_filter", "image_filter", "generator", "provenance")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    folder = tmp_path_factory.mktemp("diversity")
    with running_house(folder / "home", print, SETTINGS | open_model(folder / "model"), ROOMS) as running:
        activate(running, POLICY)
        yield running


@pytest.fixture(scope="module")
def client(house: RunningHouse) -> Iterator[Client]:
    with Client(house.profile) as client:
        yield client


def drawn(client: Client, prompt: str, seed: int = 7) -> tuple[str, gateway_pb2.Image]:
    """The decision and the one picture of a creating call."""
    accepted, *events = client.create_images(prompt, account="user-1", count=1, seed=seed)
    (image,) = (event for event in events if isinstance(event, gateway_pb2.Image))
    return accepted.decision_id, image


def recorded(house: RunningHouse, decision: str) -> dict[str, str]:
    """The digests of a decision."""
    with psycopg.connect((house.home / "postgres.dsn").read_text().strip()) as conn:
        row = conn.execute("SELECT digests FROM decisions WHERE decision_id = %s", [decision]).fetchone()
        return row[0]


def test_what_was_drawn_is_told_and_its_digest_recorded(house: RunningHouse, client: Client) -> None:
    decision, image = drawn(client, ASKED)

    assert image.revised_prompt in {f"a photo of {who} doctor" for who in ("an East Asian", "a Black", "a White")}
    assert image.revision_policy == load_policy(POLICY, "test").id
    digests = recorded(house, decision)
    assert digests["prompt"] == sha256(ASKED.encode()).hexdigest()
    assert digests["revised_prompt"] == sha256(image.revised_prompt.encode()).hexdigest()


def test_a_seed_says_the_same_again_and_another_something_else(client: Client) -> None:
    said = [drawn(client, ASKED, seed)[1].revised_prompt for seed in (7, 7, *range(8, 14))]

    assert said[0] == said[1]
    assert len(set(said)) > 1


@pytest.mark.parametrize("prompt", ["a photo of an elderly doctor", "a roman doctor", "a photo of a cat"])
def test_a_prompt_that_says_who_or_when_is_drawn_as_it_is(house: RunningHouse, client: Client, prompt: str) -> None:
    decision, image = drawn(client, prompt)

    assert (image.revised_prompt, image.revision_policy) == ("", "")
    assert "revised_prompt" not in recorded(house, decision)


def test_what_the_filter_would_refuse_of_ours_is_not_used_and_refuses_nobody(
    house: RunningHouse, client: Client
) -> None:
    _, image = drawn(client, "two doctors in a park")

    assert image.revised_prompt == ""
    metrics = urlopen(f"http://127.0.0.1:{house.port_base + 100}/metrics").read().decode()
    assert 'portcullis_revisions_total{mode="enforce",outcome="kept"} 1.0' in metrics


def test_no_log_and_no_file_holds_a_revised_prompt_in_the_clear(house: RunningHouse, client: Client) -> None:
    said = drawn(client, "a portrait of an electrician")[1].revised_prompt.encode()

    paths: list[Path] = [house.log, *(path for path in house.home.rglob("*") if path.is_file())]
    assert b"electrician" in said
    assert [path for path in paths if path.exists() and said in path.read_bytes()] == []
