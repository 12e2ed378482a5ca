"""What every pod of the house must be: closed, bounded, asked after, and able to leave without losing a call."""

from __future__ import annotations

import re

from services.core.config import HouseSettings
from services.core.rpc.door import MAX_DEADLINE_SECONDS
from services.core.rpc.health import ALIVE
from tests.unit.deploy.rendering import (
    Thing,
    containers,
    environment,
    labels,
    of_kind,
    pod,
    ports,
    process,
    selects,
    workloads,
)

CLOSED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def serving(things: list[Thing]) -> dict[str, Thing]:
    """Deployments whose process is one of the house, the toolbox not among them."""
    return {name: each for name, each in of_kind(things, "Deployment").items() if name != "toolbox"}


def test_the_namespace_lets_no_pod_in_that_is_not_restricted(things: list[Thing]) -> None:
    (namespace,) = of_kind(things, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_pod_may_more_than_it_must(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        spec = pod(workload)
        assert spec["securityContext"]["runAsUser"] >= 10_000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name
        for container in containers(workload):
            assert container["securityContext"] == CLOSED, (name, container["name"])


def test_no_pod_holds_a_token_of_the_cluster(things: list[Thing]) -> None:
    accounts = of_kind(things, "ServiceAccount")
    for name, workload in workloads(things).items():
        assert pod(workload)["automountServiceAccountToken"] is False, name
        assert accounts[pod(workload)["serviceAccountName"]]["automountServiceAccountToken"] is False, name


def test_every_process_has_an_account_of_its_own(things: list[Thing]) -> None:
    used = [pod(workload)["serviceAccountName"] for workload in workloads(things).values()]
    assert len(set(used)) == len(used)


def test_every_container_is_bounded_and_asks_for_what_it_needs(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        for container in containers(workload):
            resources = container["resources"]
            assert {"cpu", "memory", "ephemeral-storage"} <= set(resources["requests"]), name
            assert {"memory", "ephemeral-storage"} <= set(resources["limits"]), name
            assert resources["limits"]["memory"] == resources["requests"]["memory"], name


def test_what_is_written_to_is_bounded(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        for volume in pod(workload)["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), (name, volume["name"])


def test_what_holds_secrets_is_mounted_to_be_read_alone(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        secret = {each["name"] for each in pod(workload)["volumes"] if {"secret", "projected", "configMap"} & set(each)}
        for container in containers(workload):
            for mount in container.get("volumeMounts", ()):
                assert mount.get("readOnly") or mount["name"] not in secret, (name, mount["name"])
                assert "subPath" not in mount, (name, "a subPath is never renewed")


def test_every_image_names_a_version(things: list[Thing]) -> None:
    for name, workload in workloads(things).items():
        for container in containers(workload):
            assert re.fullmatch(r"portcullis/[a-z-]+:\d+\.\d+\.\d+(-cuda)?", container["image"]), name


def test_every_process_is_asked_whether_it_started_lives_and_is_ready(things: list[Thing]) -> None:
    for name, workload in serving(things).items():
        asked = process(workload)
        port = int(environment(things, workload)["PORTCULLIS_PROBE_PORT"])
        if name == "review-worker":
            assert {asked[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")} == {
                "metrics"
            }
            continue
        assert ports(workload)["probes"] == port
        assert asked["startupProbe"]["grpc"] == asked["livenessProbe"]["grpc"] == {"port": port, "service": ALIVE}
        assert asked["readinessProbe"]["grpc"] == {"port": port}, name


def test_a_dead_loop_is_restarted_within_two_minutes(things: list[Thing]) -> None:
    for name, workload in serving(things).items():
        probe = process(workload)["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"] <= 120, name


def test_no_call_is_cut_when_a_pod_leaves(things: list[Thing]) -> None:
    for name, workload in serving(things).items():
        drain = float(environment(things, workload)["PORTCULLIS_DRAIN_SECONDS"])
        pause = process(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain > MAX_DEADLINE_SECONDS, name
        assert pause >= 2 * 5, "endpoints are taken away and names looked up again meanwhile"
        assert pause + drain + 5 <= pod(workload)["terminationGracePeriodSeconds"], name


def test_replicas_are_spread_over_zones_and_nodes(things: list[Thing]) -> None:
    for name, workload in serving(things).items():
        spread = {each["topologyKey"]: each for each in pod(workload)["topologySpreadConstraints"]}
        assert set(spread) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, name
        for each in spread.values():
            assert selects(each["labelSelector"], labels(workload)), name
            assert set(each["matchLabelKeys"]) - {"pod-template-hash"} <= set(labels(workload)), name


def test_who_keeps_promises_goes_first(things: list[Thing]) -> None:
    value = {name: each["value"] for name, each in of_kind(things, "PriorityClass").items()}
    of = {name: value[pod(workload)["priorityClassName"]] for name, workload in serving(things).items()}
    door = {of[name] for name in ("gateway", "prompt-filter", "image-filter", "combo-filter", "provenance")}
    assert len(door) == 1
    assert door.pop() > of["generator"] > of["review-worker"]


def scaled(things: list[Thing]) -> dict[str, int]:
    """The least number of replicas of each Deployment."""
    least = {name: each["spec"].get("replicas", 0) for name, each in serving(things).items()}
    for each in of_kind(things, "HorizontalPodAutoscaler").values():
        least[each["spec"]["scaleTargetRef"]["name"]] = each["spec"]["minReplicas"]
    scaled_objects = [thing for thing in things if thing["kind"] == "ScaledObject"]
    for each in scaled_objects:
        least[each["spec"]["scaleTargetRef"]["name"]] = each["spec"]["minReplicaCount"]
    return least


def test_something_says_how_many_there_are_of_each(things: list[Thing]) -> None:
    assert min(scaled(things).values()) >= 1, scaled(things)


def test_nobody_else_says_how_many_there_are_where_an_autoscaler_does(things: list[Thing]) -> None:
    for each in (thing for thing in things if thing["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")):
        assert "replicas" not in of_kind(things, "Deployment")[each["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_whatever_there_is_more_than_one_of_keeps_one_while_nodes_are_emptied(things: list[Thing]) -> None:
    budgets = [thing["spec"] for thing in things if thing["kind"] == "PodDisruptionBudget"]
    for name, least in scaled(things).items():
        kept = [each for each in budgets if selects(each["selector"], labels(of_kind(things, "Deployment")[name]))]
        assert len(kept) == (1 if least > 1 else 0), name
        assert all(each["maxUnavailable"] == 1 for each in kept), name


def test_the_generator_alone_takes_gpus_and_only_where_there_are_some(rendered: dict[str, list[Thing]]) -> None:
    for overlay, things in rendered.items():
        takers = {n for n, w in workloads(things).items() if "nvidia.com/gpu" in str(pod(w)["containers"])}
        assert takers == ({"generator"} if overlay == "gpu" else set())
    generator = pod(of_kind(rendered["gpu"], "Deployment")["generator"])
    assert process({"spec": {"template": {"spec": generator}}})["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert generator["nodeSelector"]


def test_settings_of_the_house_are_those_that_it_reads(things: list[Thing]) -> None:
    (house,) = (each for name, each in of_kind(things, "ConfigMap").items() if name.startswith("house-"))
    known = {f"PORTCULLIS_{name.upper()}" for name in HouseSettings.model_fields}
    assert set(house["data"]) - known <= {"PORTCULLIS_CONSOLE_URL"}
