from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.generator.remote import RemoteEngine
from services.generator.remote_settings import RemoteSettings

HERE = "http://127.0.0.1:8000"


@pytest.mark.parametrize("url", ["", HERE, "http://localhost:8000", "http://[::1]:8000", "https://engine.example/qwen"])
def test_an_engine_is_reached_over_tls_or_on_this_machine(url: str) -> None:
    assert RemoteSettings(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://engine.example",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
        "https://user:secret@engine.example",
        "https://",
        "engine.example",
        "https://engine.example/?x=1",
    ],
)
def test_any_other_address_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        RemoteSettings(url=url)
    assert "PORTCULLIS_GENERATOR_REMOTE_URL" in refusal.value.message
    assert "secret" not in refusal.value.message


@pytest.mark.parametrize("named", [{"model": "acme/painter"}, {"version": "r1"}])
def test_an_engine_whose_model_is_not_pinned_stops_the_start(named: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="PORTCULLIS_GENERATOR_REMOTE_MODEL"):
        RemoteEngine(RemoteSettings(url=HERE, **named))


def test_a_ca_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="REMOTE_CA"):
        RemoteEngine(RemoteSettings(url=HERE, model="acme/painter", version="r1", ca=tmp_path / "ca.pem"))


@pytest.mark.parametrize("sizes", [[], [32], [1024, 4096]])
def test_a_size_that_cannot_be_decoded_stops_the_start(sizes: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="PORTCULLIS_GENERATOR_REMOTE_SIZES"):
        RemoteSettings(url=HERE, sizes=sizes)
