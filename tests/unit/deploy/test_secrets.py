"""Who holds which key and password: each process its own, and whatever is mounted is made by something."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from services.core.clearance import ISSUERS
from services.core.store.roles import GRANTS, role_of
from tests.unit.deploy.rendering import (
    K8S,
    REPOSITORY,
    WHOLE,
    Thing,
    containers,
    environment,
    of_kind,
    pod,
    render,
    workloads,
)

BY_HAND = {"database-backup"}  # of the overlay `small`: README.md says how


def sources(workload: Thing) -> Iterator[Thing]:
    """What Secrets its volumes take, as {name, items}."""
    for volume in pod(workload)["volumes"]:
        if "secret" in volume:
            yield {"name": volume["secret"]["secretName"], "items": volume["secret"].get("items", [])}
        for source in volume.get("projected", {}).get("sources", ()):
            yield source["secret"]


def holders(things: list[Thing]) -> dict[str, set[str]]:
    """File under keys/ → the workloads that mount it."""
    found: dict[str, set[str]] = {}
    for name, workload in workloads(things).items():
        for source in sources(workload):
            if source["name"].startswith("keys-"):
                for path in [item["path"] for item in source.get("items", ())] or WHOLE[source["name"]]:
                    found.setdefault(path, set()).add(name)
    return found


def wanted(things: list[Thing]) -> set[tuple[str, str]]:
    """(Secret, key) of all that pods take, by volume or variable."""
    found: set[tuple[str, str]] = set()
    for workload in workloads(things).values():
        for source in sources(workload):
            found |= {(source["name"], item["key"]) for item in source.get("items", ())}
        for container in containers(workload):
            for variable in container.get("env", ()):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    reference = variable["valueFrom"]["secretKeyRef"]
                    found.add((reference["name"], reference["key"]))
    return found


def made(things: list[Thing]) -> dict[str, set[str]]:
    """Secret → keys, of all that objects here or their operators make."""
    found = {
        each["spec"]["secretName"]: {"ca.crt", "tls.crt", "tls.key"} for each in of_kind(things, "Certificate").values()
    }
    for name, each in of_kind(things, "ExternalSecret").items():
        template = each["spec"].get("target", {}).get("template", {}).get("data")
        found[name] = set(template or (item["secretKey"] for item in each["spec"].get("data", ())))
    for name in of_kind(things, "Cluster"):
        found[f"{name}-ca"] = {"ca.crt"}
    for name in of_kind(things, "RabbitmqCluster"):
        found[f"{name}-default-user"] = {"connection_string"}
    return found


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The Secrets that make_secrets.py prints for a fresh data home, by name."""
    home = tmp_path_factory.mktemp("house")
    command = [sys.executable, str(K8S / "make_secrets.py"), str(home)]
    done = subprocess.run(command, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, check=True)
    return {each["metadata"]["name"]: each for each in yaml.safe_load_all(done.stdout)}


def test_each_key_lies_where_it_is_needed_and_nowhere_else(things: list[Thing]) -> None:
    evidence = {"gateway", "review", "review-console"}  # the relay deletes what expired, and reads nothing
    assert holders(things) == {
        **{f"clearance/{issuer}.pem": {issuer.replace("_", "-")} for issuer in ISSUERS},
        "clearance/jwks.json": {"combo-filter", "generator", "provenance"},
        "evidence.key": evidence,
        "evidence-sealed.pub": evidence,
        "staff.key": {"review-console"},
        "webhooks.key": {"review-notifier", "toolbox"},
        "watermark.key": {"provenance"},
        **{f"c2pa/{name}": {"provenance"} for name in ("ca.pem", "chain.pem", "key.pem")},
    }


def test_the_private_key_of_sealed_evidence_lies_nowhere_unless_somebody_says_so(things: list[Thing]) -> None:
    assert "evidence-sealed.key" not in holders(things)


def test_the_key_of_the_authority_lies_in_no_pod(things: list[Thing]) -> None:
    assert "authority" not in {
        source["name"] for workload in workloads(things).values() for source in sources(workload)
    }


# The desk's errands are one room with it in Postgres; operators' commands and migrations are the owner's.
USERS = {"review-worker": "review", "review-relay": "review", "review-notifier": "review", "review-console": "console"}
OWNERS = {"migrate": "owner", "toolbox": "owner"}


def test_each_room_has_a_role_of_its_own_in_postgres(things: list[Thing]) -> None:
    told: dict[str, set[str]] = {}
    for name, workload in workloads(things).items():
        for container in containers(workload):
            for variable in container.get("env", ()):
                if variable["name"] == "PORTCULLIS_DSN":
                    told.setdefault(name, set()).add(variable["valueFrom"]["secretKeyRef"]["name"])
    assert told == {name: {f"database-{({**USERS, **OWNERS}).get(name, name)}"} for name in told}
    (cluster,) = of_kind(things, "Cluster").values()
    roles = {role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    assert roles | {"database-owner"} == {secret for (secret,) in told.values()}
    assert cluster["spec"]["bootstrap"]["initdb"]["secret"]["name"] == "database-owner"
    assert {role["name"] for role in cluster["spec"]["managed"]["roles"]} == {role_of(room) for room in GRANTS}


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_every_secret_that_a_pod_takes_is_made(rendered: dict[str, list[Thing]], overlay: str) -> None:
    known = made(rendered[overlay])
    assert {(name, key) for name, key in wanted(rendered[overlay]) if key not in known.get(name, ())} == set()


def test_every_secret_of_one_node_is_made_or_printed(rendered: dict[str, list[Thing]], printed: dict[str, Any]) -> None:
    known = {**made(rendered["small"]), **{name: set(each["data"]) for name, each in printed.items()}}
    assert {(name, key) for name, key in wanted(rendered["small"]) if key not in known.get(name, ())} == set()
    assert not BY_HAND & set(known)


def test_nothing_is_printed_that_nobody_takes(rendered: dict[str, list[Thing]], printed: dict[str, Any]) -> None:
    taken = {source["name"] for workload in workloads(rendered["small"]).values() for source in sources(workload)}
    taken |= {name for name, _ in wanted(rendered["small"])}
    assert set(printed) - taken == {"keys-sealed"}
    assert {name: set(printed[name]["data"]) for name in WHOLE} == {name: set(WHOLE[name]) for name in WHOLE}


def test_a_dsn_names_the_role_whose_password_it_holds_and_checks_the_server(
    rendered: dict[str, list[Thing]], printed: dict[str, Any]
) -> None:
    (cluster,) = of_kind(rendered["small"], "Cluster").values()
    roles = {role["passwordSecret"]["name"]: role["name"] for role in cluster["spec"]["managed"]["roles"]}
    roles["database-owner"] = cluster["spec"]["bootstrap"]["initdb"]["owner"]
    databases = {name: each for name, each in printed.items() if name.startswith("database-")}
    assert set(databases) == set(roles)
    for name, each in databases.items():
        data = {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        parts = conninfo_to_dict(data["dsn"])
        assert (parts["user"], parts["password"]) == (data["username"], data["password"]), name
        assert data["username"] == roles[name], name
        assert (parts["host"], parts["sslmode"]) == ("database-rw", "verify-full"), name
        assert parts["dbname"] == cluster["spec"]["bootstrap"]["initdb"]["database"]


def test_a_secret_store_leads_to_the_same_dsn(rendered: dict[str, list[Thing]], printed: dict[str, Any]) -> None:
    external = of_kind(rendered["cpu"], "ExternalSecret")
    for name, each in printed.items():
        if name.startswith("database-"):
            data = {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
            template = external[name]["spec"]["target"]["template"]["data"]
            assert {k: v.replace("{{ .password }}", data["password"]) for k, v in template.items()} == data, name


def test_a_secret_store_holds_what_is_asked_of_it(rendered: dict[str, list[Thing]], tmp_path: Path) -> None:
    command = [sys.executable, str(K8S / "make_secrets.py"), str(tmp_path), "--values"]
    done = subprocess.run(command, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, check=True)
    values = yaml.safe_load(done.stdout)
    for name, each in of_kind(rendered["cpu"], "ExternalSecret").items():
        if name in BY_HAND:
            continue
        for item in each["spec"].get("data", ()):
            reference = item["remoteRef"]
            value = values[reference["key"]][reference["property"]]
            if reference.get("decodingStrategy") == "Base64":
                assert base64.b64decode(value, validate=True) == (tmp_path / "keys" / item["secretKey"]).read_bytes()
        for source in each["spec"].get("dataFrom", ()):
            assert set(values[source["extract"]["key"]]) == set(WHOLE[name])


def test_with_the_sealed_component_the_console_alone_opens_what_is_sealed(program: str, tmp_path: Path) -> None:
    parts = {"resources": [K8S / "overlays" / "small"], "components": [K8S / "components" / "sealed"]}
    found = {key: [os.path.relpath(each, tmp_path.resolve()) for each in paths] for key, paths in parts.items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(found))

    things = render(program, tmp_path)

    takers = {
        name
        for name, workload in workloads(things).items()
        if "keys-sealed" in {each["name"] for each in sources(workload)}
    }
    assert takers == {"review-console"}


def test_where_postgres_is_the_broker_its_owner_installs_it(rendered: dict[str, list[Thing]]) -> None:
    ways = {
        overlay: [each["args"] for each in containers(workloads(things)["migrate"])]
        for overlay, things in rendered.items()
    }
    installs = {overlay for overlay, args in ways.items() if ["-m", "services.review.broker"] in args}
    told = {
        overlay
        for overlay, things in rendered.items()
        if "PORTCULLIS_BROKER_URL" in environment(things, workloads(things)["review-worker"])
    }
    assert installs == set(rendered) - told == {"small"}
