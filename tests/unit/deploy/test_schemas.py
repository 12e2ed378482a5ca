"""Every object is what Kubernetes and the operators know, field by field; an unknown kind is a mistake."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.rendering import K8S, Thing, of_kind

KUBERNETES = "1.37"
SCHEMAS = Path(__file__).parent / "schemas"


@cache
def validator(api: str, kind: str) -> Any:
    """The vendored schema of an operator's kind, ready for use; None where there is none."""
    for path in SCHEMAS.glob(f"{api.replace('/', '_')}_{kind}.*"):
        return jsonschema.Draft7Validator(read(path))
    return None


def read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def check(thing: Thing) -> None:
    """Raises where a thing is not of its kind, or the kind is not known."""
    own = validator(thing["apiVersion"], thing["kind"])
    if own is not None:
        own.validate(thing)
    else:
        kubernetes_validate.validate(dict(thing), KUBERNETES, strict=True)


def test_every_object_is_of_its_kind(rendered: dict[str, list[Thing]]) -> None:
    each = {json.dumps(thing): thing for things in rendered.values() for thing in things}  # most are in all overlays
    wrong = []
    for thing in each.values():
        try:
            check(thing)
        except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            wrong.append(f"{thing['kind']} {thing['metadata']['name']}: {error}"[:500])
    assert not wrong, "\n".join(wrong)


def test_what_restores_the_database_is_of_its_kind() -> None:
    path = K8S / "components" / "postgres" / "recovery.yaml"
    check(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_no_object_is_named_twice(things: list[Thing]) -> None:
    names = [(thing["apiVersion"], thing["kind"], thing["metadata"]["name"]) for thing in things]
    assert len(set(names)) == len(names)


def test_a_field_that_does_not_exist_is_found(rendered: dict[str, list[Thing]]) -> None:
    for kind in ("Deployment", "Certificate", "ScaledObject", "Cluster", "GRPCRoute"):
        thing = copy.deepcopy(dict(next(iter(of_kind(rendered["cpu"], kind).values()))))
        thing["spec"]["replicaz"] = 1
        with pytest.raises(jsonschema.ValidationError):
            check(thing)


def test_a_kind_that_nobody_knows_is_found() -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        check({"apiVersion": "example.com/v1", "kind": "Unknown", "metadata": {"name": "x"}})


def test_every_vendored_schema_is_one_and_strict() -> None:
    for path in SCHEMAS.glob("*_*"):
        own = read(path)
        jsonschema.Draft7Validator.check_schema(own)
        assert '"additionalProperties": false' in json.dumps(own), path.name
