"""The doors: ports, names and network policies against what the servers open and whom they let in."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.commands.readiness import ERRAND_OFFSETS
from services.core.config import METRICS_OFFSET, ROOMS, HouseSettings
from services.core.rpc.tls import TRUST_DOMAIN
from services.review.console.settings import PORT_OFFSET
from tests.unit.deploy.rendering import (
    Thing,
    environment,
    labels,
    of_kind,
    pod,
    ports,
    process,
    selects,
    workloads,
)

Edge = tuple[str, str, int]
BROKER, DATABASE = ("broker", 5672), ("database", 5432)
OPERATORS = {"database": {"cnpg.io/cluster": "database"}, "broker": {"app.kubernetes.io/name": "broker"}}


def dashed(name: str) -> str:
    return name.replace("_", "-")


@pytest.fixture
def house(things: list[Thing], monkeypatch: pytest.MonkeyPatch) -> HouseSettings:
    """The settings as every pod reads them."""
    for name, value in environment(things, workloads(things)["gateway"]).items():
        if name != "PORTCULLIS_DSN":
            monkeypatch.setenv(name, value)
    return HouseSettings()


def pods(things: list[Thing]) -> dict[str, dict[str, str]]:
    """The labels of all pods in the namespace, the operators' too, by what they are called here."""
    return {**OPERATORS, **{name: dict(labels(workload)) for name, workload in workloads(things).items()}}


def policies(things: list[Thing]) -> list[Thing]:
    return [thing["spec"] for thing in things if thing["kind"] == "NetworkPolicy"]


def opened(things: list[Thing], side: str) -> Iterator[Edge]:
    """(from, to, port) among the pods here, as the policies of one side, "ingress" or "egress", allow it."""
    known = pods(things)
    for policy in policies(things):
        owners = [name for name, own in known.items() if selects(policy["podSelector"], own)]
        for rule in policy.get(side, ()):
            for peer in rule.get("from" if side == "ingress" else "to", ()):
                if "namespaceSelector" in peer or "podSelector" not in peer:
                    continue
                others = [name for name, own in known.items() if selects(peer["podSelector"], own)]
                for owner in owners:
                    for other in others:
                        for port in rule["ports"]:
                            ends = (other, owner) if side == "ingress" else (owner, other)
                            yield (*ends, port["port"])


def wanted(things: list[Thing], house: HouseSettings) -> set[Edge]:
    """Who has to reach whom: by the table of callers of each room, and by who is told of Postgres and the broker."""
    certificates = of_kind(things, "Certificate")
    edges: set[Edge] = set()
    for name, workload in workloads(things).items():
        told = environment(things, workload)
        edges |= {(name, *DATABASE)} if "PORTCULLIS_DSN" in told else set()
        edges |= {(name, *BROKER)} if "PORTCULLIS_BROKER_URL" in told else set()
        own = certificates.get(name, {"spec": {"usages": ()}})["spec"]
        for uri in own["uris"] if "client auth" in own["usages"] else ():
            identity = uri.removeprefix(TRUST_DOMAIN)
            for room in ROOMS:
                callers = importlib.import_module(f"services.{room}.__main__").CALLERS
                if name != dashed(room) and any(identity in allowed for allowed in callers.values()):
                    edges.add((name, dashed(room), house.port(room)))
    return edges


def test_every_room_listens_where_its_pod_says(things: list[Thing], house: HouseSettings) -> None:
    for room in ROOMS:
        found = ports(workloads(things)[dashed(room)])
        own = house.port(room)
        assert found == {"grpc": own, "metrics": own + METRICS_OFFSET, "probes": house.probe_port}, room


def test_every_errand_listens_where_its_pod_says(things: list[Thing], house: HouseSettings) -> None:
    for errand, offset in ERRAND_OFFSETS.items():
        found = ports(workloads(things)[dashed(errand)])
        assert found["metrics"] == house.port_base + offset, errand
    assert ports(workloads(things)["review-console"])["https"] == house.port_base + PORT_OFFSET


def test_every_process_of_the_house_has_a_deployment_and_is_started_by_its_module(things: list[Thing]) -> None:
    modules = {dashed(room): f"services.{room}" for room in ROOMS}
    modules |= {dashed(errand): f"services.{errand.replace('_', '.')}" for errand in ERRAND_OFFSETS}
    started = {n: process(w)["args"] for n, w in of_kind(things, "Deployment").items() if n != "toolbox"}
    assert started == {name: ["-m", module] for name, module in modules.items()}
    for module in modules.values():
        assert importlib.util.find_spec(module) is not None, module


def test_a_service_leads_to_the_port_of_its_own_pods(things: list[Thing]) -> None:
    for name, service in of_kind(things, "Service").items():
        (target,) = (
            w for w in workloads(things).values() if selects({"matchLabels": service["spec"]["selector"]}, labels(w))
        )
        (port,) = service["spec"]["ports"]
        assert port["port"] == ports(target)[port["targetPort"]], name


def test_rooms_are_called_by_the_names_of_their_services_and_balanced_by_the_caller(
    things: list[Thing], house: HouseSettings
) -> None:
    services = of_kind(things, "Service")
    assert set(house.hosts) == set(ROOMS) - {"gateway"}
    for room in house.hosts:
        assert house.target(room) == f"dns:///{dashed(room)}:{house.port(room)}"
        assert services[dashed(room)]["spec"]["clusterIP"] == "None", room


def test_everything_is_closed_but_for_what_is_named(things: list[Thing]) -> None:
    (closed,) = (p for p in policies(things) if not p["podSelector"] and "Ingress" in p["policyTypes"])
    assert set(closed) == {"podSelector", "policyTypes"}
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}


def test_each_door_opens_for_those_whom_the_server_lets_in_and_for_nobody_else(
    things: list[Thing], house: HouseSettings
) -> None:
    among_us = {edge for edge in opened(things, "ingress") if edge[0] not in OPERATORS}
    assert among_us == wanted(things, house)


def test_each_pod_may_go_out_where_it_has_to_and_nowhere_else(things: list[Thing], house: HouseSettings) -> None:
    among_us = {edge for edge in opened(things, "egress") if edge[0] not in OPERATORS}
    assert among_us == wanted(things, house)


def test_only_the_gateway_reaches_the_generator(things: list[Thing]) -> None:
    assert {edge for edge in opened(things, "ingress") if edge[1] == "generator"} == {("gateway", "generator", 7404)}


def test_the_generator_reaches_nobody(things: list[Thing]) -> None:
    known = dict(labels(workloads(things)["generator"]))
    ways = [p for p in policies(things) if selects(p["podSelector"], known) and p.get("egress")]
    assert [str(way["podSelector"]) for way in ways] == ["{}"], "names alone are looked up"
    assert "PORTCULLIS_DSN" not in environment(things, workloads(things)["generator"])


def from_outside(things: list[Thing]) -> dict[str, set[Any]]:
    """Pods that somebody outside the namespace may reach, and at which ports."""
    found: dict[str, set[Any]] = {}
    for policy in policies(things):
        for rule in policy.get("ingress", ()):
            peers = rule.get("from")
            inside = peers is not None and all(set(peer) == {"podSelector"} for peer in peers)
            for name, own in pods(things).items():
                if not inside and selects(policy["podSelector"], own):
                    found.setdefault(name, set()).update(port["port"] for port in rule["ports"])
    return found


def test_nothing_but_the_gateway_is_reached_from_outside_but_for_metrics_and_the_peoples_door(
    things: list[Thing],
) -> None:
    doors = {name: found - {"metrics"} for name, found in from_outside(things).items() if name not in OPERATORS}
    assert {name: found for name, found in doors.items() if found} in (
        {"gateway": {7400}},
        {"gateway": {7400}, "review-console": {7407}},
    )


def test_probes_are_open_to_nobody_but_the_node(things: list[Thing], house: HouseSettings) -> None:
    assert house.probe_port not in {port for found in from_outside(things).values() for port in found}
    assert house.probe_port not in {edge[2] for edge in opened(things, "ingress")}


def test_only_the_platforms_service_passes_the_public_door(rendered: dict[str, list[Thing]]) -> None:
    (route,) = of_kind(rendered["cpu"], "GRPCRoute").values()
    services = [match["method"]["service"] for rule in route["spec"]["rules"] for match in rule["matches"]]
    assert services == ["portcullis.v1.GatewayService"]


def test_whatever_serves_is_trusted_by_the_name_that_callers_ask_for(things: list[Thing]) -> None:
    certificates = of_kind(things, "Certificate")
    for room in ROOMS:
        spec = certificates[dashed(room)]["spec"]
        assert dashed(room) in spec["dnsNames"], room
        assert spec["uris"] == [f"{TRUST_DOMAIN}{room}"], room
        assert "server auth" in spec["usages"], room
    assert "dnsNames" not in certificates["review-worker"]["spec"], "it calls in the desk's name, and serves under none"


def test_every_certificate_lies_where_its_process_looks_for_it(things: list[Thing]) -> None:
    certificates = of_kind(things, "Certificate")
    for name, workload in workloads(things).items():
        for volume in pod(workload)["volumes"]:
            if volume["name"] != "tls":
                continue
            uris = certificates[name]["spec"].get("uris", [])
            own = {f"{uri.removeprefix(TRUST_DOMAIN)}{suffix}" for uri in uris for suffix in (".pem", ".key")}
            mounted = {item["path"] for item in volume["secret"]["items"]}
            assert volume["secret"]["secretName"] == certificates[name]["spec"]["secretName"], name
            assert mounted == ({"ca.pem", *own} if own else {"console.pem", "console.key"}), name


def test_metrics_are_scraped_under_the_names_that_rules_know(rendered: dict[str, list[Thing]]) -> None:
    monitor = of_kind(rendered["cpu"], "PodMonitor")["portcullis"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    for name, workload in workloads(rendered["cpu"]).items():
        assert selects(monitor["selector"], labels(workload)), name
        assert (endpoint["port"] in ports(workload)) == (name not in ("migrate", "toolbox")), name
    first, second = endpoint["relabelings"]
    assert first["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    assert json.dumps(second["regex"]) == '"(.+)-(.+)"'
    assert all(name.count("-") <= 1 for name in workloads(rendered["cpu"])), "or the pattern leaves a dash"
