"""The images: what goes in is what the processes import and the models that they load, and little more."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.core.config import ROOMS
from tests.unit.deploy.only import PROJECT, absent, brought, wishes
from tests.unit.deploy.rendering import (
    DEPLOY,
    REPOSITORY,
    WHOLE,
    Thing,
    containers,
    of_kind,
    process,
    workloads,
)

DOCKER = DEPLOY / "docker"
HADOLINT = Path(sys.executable).parent / "hadolint"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


def targets() -> dict[str, dict[str, str]]:
    """The arguments of each image that bake.json builds."""
    found = json.loads((DOCKER / "bake.json").read_text(encoding="utf-8"))["target"]
    return {name: arguments(found, name) for name in found if name != "room"}


def arguments(found: dict[str, Any], name: str) -> dict[str, str]:
    own = found[name]
    inherited = [arguments(found, parent) for parent in own.get("inherits", ())]
    return {key: value for each in (*inherited, own.get("args", {})) for key, value in each.items()}


def modules(things: list[Thing]) -> dict[str, set[str]]:
    """Image → the modules that pods start in it."""
    found: dict[str, set[str]] = {}
    for workload in workloads(things).values():
        for container in containers(workload):
            image = re.sub(r".*/([a-z-]+):.*", r"\1", container["image"])
            started = container["args"][1] if container["args"][0] == "-m" else "portcullis.cli"
            found.setdefault(image, set()).add(started)
    return found


def test_every_image_that_pods_run_is_built_and_none_besides(rendered: dict[str, list[Thing]]) -> None:
    run = {
        container["image"].removeprefix("portcullis/")
        for things in rendered.values()
        for workload in workloads(things).values()
        for container in containers(workload)
    }
    assert run == {
        f"{name.removesuffix('-cuda')}:{PROJECT['version']}{'-cuda' if name.endswith('-cuda') else ''}"
        for name in targets()
    }


ROOM_MODULES = {f"services.{room}" for room in ROOMS} | {"services.core.store", "services.review.console"}


def importing(names: Iterable[str], extras: str, alone: str = "") -> subprocess.Popen[str]:
    """A process that imports modules where these extras alone are installed."""
    inside = [f"{name}.__main__" if name in ROOM_MODULES else name for name in names]
    started = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("only.py")), *inside],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdin is not None
    started.stdin.write(" ".join(absent(extras.split(","), alone.split())))
    return started


@pytest.mark.timeout(600)  # seven rooms are imported at once: seconds, but minutes on a busy machine
def test_every_image_has_all_that_its_processes_import(rendered: dict[str, list[Thing]]) -> None:
    running = {
        image: importing(started, targets()[image]["EXTRAS"], targets()[image].get("ALONE", ""))
        for image, started in modules(rendered["gpu"]).items()
    }
    said = {image: each.communicate()[1][-300:] for image, each in running.items()}
    assert {image: said[image] for image, each in running.items() if each.returncode} == {}


def test_an_image_without_the_extra_of_its_room_is_found_out() -> None:
    without = importing(["services.review.worker"], "core")
    said = without.communicate()[1]
    assert without.returncode == 1
    assert "celery is not installed" in said


def test_no_image_but_the_generators_brings_torch() -> None:
    heavy = {name for name, given in targets().items() if "torch" in brought(wishes(given["EXTRAS"].split(",")))}
    assert heavy == {"generator", "generator-cuda"}
    assert all(
        given["TORCH"] in PROJECT["optional-dependencies"]["generator"] for n, given in targets().items() if n in heavy
    )


def defaults(room: str) -> Iterator[str]:
    """The models that a room loads where nothing is set, as models/<folder>/…"""
    module = importlib.import_module(f"services.{room}.settings")
    (settings,) = (each for name, each in vars(module).items() if name.lower() == f"{room.replace('_', '')}settings")
    for field in settings.model_fields.values():
        if isinstance(field.default, str) and field.default.startswith("models/"):
            yield field.default


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "gateway"])
def test_every_image_brings_the_models_of_its_room(room: str) -> None:
    given = targets()[room.replace("_", "-")].get("MODELS", "").split()
    assert {default.split("/")[1] for default in defaults(room)} <= set(given)
    assert all((REPOSITORY / "models" / folder).is_dir() for folder in given)


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    if not HADOLINT.exists():
        pytest.skip("no hadolint: `make test` installs it")
    done = subprocess.run([HADOLINT, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_images_are_built_on_a_digest_and_run_as_nobody_in_particular() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert re.search(r"^ARG PYTHON_IMAGE$", text, re.MULTILINE), "no default: it would be a tag that moves"
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize(
    ("image", "code"), [("python:3.11-slim", 1), ("", 1), (f"python:3.11-slim@sha256:{'0' * 64}", 0)]
)
def test_a_base_without_a_digest_stops_the_build(image: str, code: int) -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    (guard,) = re.findall(r"^RUN (case \"\$\{PYTHON_IMAGE\}\".*)$", text, re.MULTILINE)
    shell = shutil.which("sh") or "/bin/sh"
    done = subprocess.run([shell, "-c", guard], env={"PYTHON_IMAGE": image}, capture_output=True, check=False)
    assert done.returncode == code


def test_nothing_is_copied_that_is_not_let_into_the_build() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]}
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert all((REPOSITORY / name).exists() for name in copied)


def ours() -> dict[str, Any]:
    return {name: each for name, each in COMPOSE["services"].items() if name != "database"}


def test_compose_runs_the_same_processes_from_the_same_images(rendered: dict[str, list[Thing]]) -> None:
    started = {
        name: (process(w)["image"], process(w)["args"]) for name, w in of_kind(rendered["small"], "Deployment").items()
    }
    del started["toolbox"]
    composed = {name: (each["image"], each["command"]) for name, each in ours().items() if name in started}
    assert composed == started


def test_compose_gives_each_process_the_keys_that_its_pod_has(rendered: dict[str, list[Thing]]) -> None:
    for name, workload in of_kind(rendered["small"], "Deployment").items():
        mounted = {volume.split(":")[-2] for volume in ours()[name].get("volumes", ()) if volume.endswith(":ro")}
        keys = {path.removeprefix("/var/lib/portcullis/keys/") for path in mounted if "/keys/" in path}
        assert {key.replace("c2pa", "c2pa/key.pem") for key in keys} == set(key_paths(workload)) - {
            "c2pa/ca.pem",
            "c2pa/chain.pem",
        }, name


def key_paths(workload: Thing) -> Iterator[str]:
    """The files under keys/ that its pods mount."""
    for volume in workload["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "keys":
            for source in [each["secret"] for each in volume.get("projected", {"sources": [volume]})["sources"]]:
                yield from (item["path"] for item in source.get("items", ()))
                yield from WHOLE.get(source.get("name") or source.get("secretName"), ())


def test_the_home_that_is_made_for_compose_has_all_that_it_mounts(tmp_path: Path) -> None:
    command = [sys.executable, str(DOCKER / "make_home.py"), str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}, check=True, capture_output=True)
    mounted = {
        volume.split(":")[1].removeprefix("?}") for each in ours().values() for volume in each.get("volumes", ())
    }
    assert {path for path in mounted if not (tmp_path / path.lstrip("/")).exists()} == set()
    named = {line.partition("=")[0] for line in (tmp_path / "compose.env").read_text().splitlines()}
    assert named == set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text(encoding="utf-8")))


def test_compose_lets_no_process_more_than_it_must_and_opens_two_doors() -> None:
    for name, each in ours().items():
        assert (each["read_only"], each["cap_drop"], each["user"]) == (True, ["ALL"], "10001:10001"), name
        assert "no-new-privileges:true" in each["security_opt"], name
        assert each["mem_limit"], name
    assert {name for name, each in COMPOSE["services"].items() if "ports" in each} == {"gateway", "review-console"}
    assert COMPOSE["networks"]["house"]["internal"] is True


def test_the_version_is_told_the_same_everywhere() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert json.loads((DOCKER / "bake.json").read_text())["variable"]["VERSION"]["default"] == version
    assert {each["image"].partition(":")[2] for each in ours().values()} == {version}
