"""A console that others can reach needs TLS, or somebody in front who does it."""

from __future__ import annotations

import pytest

from services.core.config import HouseSettings
from services.core.errors import ConfigurationError
from services.review.console.settings import ConsoleSettings


def test_on_this_machine_alone_it_needs_nothing():
    settings = ConsoleSettings()
    settings.check()
    assert settings.origin(HouseSettings()) == "http://127.0.0.1:7407"


@pytest.mark.parametrize(
    "values",
    [
        {"bind": "0.0.0.0"},
        {"bind": "::"},
        {"bind": "review.example.com"},
        {"tls_certificate": "cert.pem"},
        {"proxies": ["10.0.0.1"]},
        {"proxies": ["10.0.0.1"], "url": "http://review.example.com"},
        {"url": "https://review.example.com"},
        {"url": "http://review.example.com/console"},
        {"oidc_issuer": "https://id.example.com"},
        {"oidc_issuer": "http://id.example.com", "oidc_client_id": "console"},
        {"oidc_issuer": "id.example.com", "oidc_client_id": "console"},
    ],
)
def test_what_would_not_be_safe_is_refused(values):
    with pytest.raises(ConfigurationError):
        ConsoleSettings(**values).check()


def test_behind_a_proxy_its_address_is_that_of_the_proxy():
    settings = ConsoleSettings(bind="0.0.0.0", proxies=["10.0.0.1"], url="https://review.example.com")
    settings.check()
    assert (settings.origin(HouseSettings()), settings.secure) == ("https://review.example.com", True)
