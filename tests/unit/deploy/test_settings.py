"""What manifests set, processes read; and what a cluster must set, is set."""

from __future__ import annotations

import pytest
from pydantic_settings import BaseSettings

from services.combo_filter.settings import ComboFilterSettings
from services.core.config import HouseSettings
from services.gateway.settings import GatewaySettings
from services.generator.remote_settings import RemoteSettings
from services.generator.settings import GeneratorSettings
from services.image_filter.settings import ImageFilterSettings
from services.prompt_filter.settings import PromptFilterSettings
from services.provenance.settings import ProvenanceSettings
from services.review.console.settings import ConsoleSettings
from services.review.settings import ReviewSettings
from tests.unit.deploy.rendering import Thing, environment, workloads
from tests.unit.deploy.test_images import ours

READ: dict[str, tuple[type[BaseSettings], ...]] = {
    "gateway": (GatewaySettings,),
    "prompt-filter": (PromptFilterSettings,),
    "image-filter": (ImageFilterSettings,),
    "combo-filter": (ComboFilterSettings,),
    "generator": (GeneratorSettings, RemoteSettings),
    "provenance": (ProvenanceSettings,),
    "review": (ReviewSettings,),
    "review-worker": (ReviewSettings,),
    "review-relay": (ReviewSettings,),
    "review-notifier": (ReviewSettings,),
    "review-console": (ConsoleSettings,),
}
# Every process reads one ConfigMap; of what only some need in it, the others take no notice.
SHARED = {"PORTCULLIS_CONSOLE_URL"}
# What has no default that would do in a cluster, for every process of the house.
NEEDED = {"PORTCULLIS_HOME", "PORTCULLIS_BIND", "PORTCULLIS_PROBE_PORT", "PORTCULLIS_HOSTS", "PORTCULLIS_DRAIN_SECONDS"}
NEEDED_TOO = {
    "review-console": {
        "PORTCULLIS_CONSOLE_BIND",
        "PORTCULLIS_CONSOLE_URL",
        "PORTCULLIS_CONSOLE_TLS_CERTIFICATE",
        "PORTCULLIS_CONSOLE_TLS_KEY",
    },
}


def variables(*settings: type[BaseSettings]) -> set[str]:
    return {
        f"{each.model_config.get('env_prefix', '')}{name}".upper() for each in settings for name in each.model_fields
    }


def test_every_variable_of_a_pod_is_one_that_its_process_reads(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        unread = set(environment(things, workload)) - variables(HouseSettings, *READ.get(name, ()))
        assert unread <= SHARED, name


def test_every_variable_that_a_cluster_needs_is_set(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        if name in READ:
            assert NEEDED | NEEDED_TOO.get(name, set()) <= set(environment(things, workload)), name


def test_what_is_set_is_accepted(things: list[Thing], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, workload in workloads(things).items():
        with monkeypatch.context() as patch:
            for variable, value in environment(things, workload).items():
                patch.setenv(variable, value)
            for settings in (HouseSettings, *READ.get(name, ())):
                found = settings()
                if isinstance(found, ConsoleSettings):
                    found.check()


def test_every_variable_of_a_composed_process_is_one_that_it_reads() -> None:
    for name, each in ours().items():
        assert set(each["environment"]) <= variables(HouseSettings, *READ.get(name, ())), name
