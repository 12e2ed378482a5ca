"""Where the client finds the house: the environment first, then the data home's client.json."""

from __future__ import annotations

import json

import pytest

from portcullis import PortcullisError, load_profile


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("ADDRESS", "API_KEY", "CA", "REVIEW_ADDRESS", "ANALYST_CERT", "ANALYST_KEY"):
        monkeypatch.delenv(f"PORTCULLIS_{name}", raising=False)
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    return tmp_path


def test_the_file_of_the_data_home_is_read(home):
    (home / "client.json").write_text(json.dumps({"address": "127.0.0.1:7400", "api_key": "pk_1"}))
    assert load_profile().address == "127.0.0.1:7400"


def test_the_environment_wins(home, monkeypatch):
    (home / "client.json").write_text(json.dumps({"address": "127.0.0.1:7400", "api_key": "pk_1"}))
    monkeypatch.setenv("PORTCULLIS_ADDRESS", "portcullis.example:443")
    assert (load_profile().address, load_profile().api_key) == ("portcullis.example:443", "pk_1")


def test_without_either_the_error_says_what_to_set_and_what_to_run(home):
    with pytest.raises(PortcullisError, match=r"PORTCULLIS_ADDRESS, PORTCULLIS_API_KEY.*portcullis up") as caught:
        load_profile()
    assert caught.value.reason == "NO_PROFILE"


def test_a_profile_never_prints_its_key(monkeypatch):
    monkeypatch.setenv("PORTCULLIS_ADDRESS", "x:1")
    monkeypatch.setenv("PORTCULLIS_API_KEY", "pk_secret")
    assert "pk_secret" not in repr(load_profile())
