"""`python deploy/k8s/make_secrets.py HOME`: the Secrets of the overlay `small`, as YAML on standard output.

HOME is a data home; the keys that it lacks are made there first: keep it safe, they exist nowhere else. Which process
gets which key is what the manifests in base/ mount. Passwords of the database are made anew each time: keep what this
prints, or print it once. `--values` prints what a secret store needs for External Secrets instead, as JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from services.commands.provision import make_keys

BASE = Path(__file__).resolve().parent / "base"
DSN = (
    "postgresql://{role}:{password}@database-rw:5432/portcullis?sslmode=verify-full"
    "&sslrootcert=/etc/portcullis/database/ca.crt"
)
# Secrets that pods mount whole, since keys of earlier epochs are named by their dates; and the paths in a secret store.
WHOLE = {
    "keys-evidence": ("evidence", r"evidence(-\d.*)?\.key|evidence-sealed\.pub|pseudonyms\.key"),
    "keys-provenance-watermark": ("watermark", r"watermark.*\.key"),
    "keys-sealed": ("sealed", r"evidence-sealed.*\.key"),
}
# Where the others lie in a secret store: the Secrets of components/external-secrets ask for these.
STORE = {
    "webhooks.key": "webhooks/key",
    "staff.key": "staff/key",
}


def manifests() -> Iterator[dict[str, Any]]:
    """Every object of base/."""
    for path in sorted(BASE.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def key_secrets(keys: Path) -> dict[str, dict[str, bytes]]:
    """Secret → key → bytes, of all that pods mount as keys."""
    found: dict[str, dict[str, bytes]] = {
        name: {path.name: path.read_bytes() for path in sorted(keys.iterdir()) if re.fullmatch(pattern, path.name)}
        for name, (_, pattern) in WHOLE.items()
    }
    for source in _mounted():
        for item in source.get("items", ()):
            name = source.get("secretName") or source["name"]
            found.setdefault(name, {})[item["key"]] = (keys / item["path"]).read_bytes()
    return found


def _mounted() -> Iterator[Mapping[str, Any]]:
    for pod in _pods():
        for volume in pod.get("volumes", ()):
            if volume["name"] == "keys":
                yield from [volume["secret"]] if "secret" in volume else _projected(volume)


def _projected(volume: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [source["secret"] for source in volume["projected"]["sources"]]


def _pods() -> Iterator[Mapping[str, Any]]:
    for thing in manifests():
        if thing["kind"] in ("Deployment", "Job"):
            yield thing["spec"]["template"]["spec"]


def database_secrets() -> dict[str, dict[str, str]]:
    """Secret → role, password and DSN, of everyone who uses Postgres; new passwords."""
    names = {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for pod in _pods()
        for container in (*pod["containers"], *pod.get("initContainers", ()))
        for variable in container.get("env", ())
        if variable["name"] == "PORTCULLIS_DSN"
    }
    found = {}
    for name in sorted(names):
        role, password = role_of(name.removeprefix("database-")), secrets.token_urlsafe(24)
        found[name] = {"username": role, "password": password, "dsn": DSN.format(role=role, password=password)}
    return found


def role_of(user: str) -> str:
    """The role in Postgres of a room, or of the owner of the tables."""
    return "portcullis" if user == "owner" else f"portcullis_{user.replace('-', '_')}"


def secret(name: str, data: Mapping[str, bytes], kind: str = "Opaque") -> dict[str, Any]:
    """A Secret of the house's namespace."""
    labels = {"cnpg.io/reload": "true"} if kind != "Opaque" else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "portcullis", "labels": labels},
        "type": kind,
        "data": {key: base64.b64encode(value).decode() for key, value in sorted(data.items())},
    }


def all_secrets(keys: Path) -> Iterator[dict[str, Any]]:
    """What the overlay `small` needs."""
    for name, data in sorted(key_secrets(keys).items()):
        yield secret(name, data)
    for name, texts in database_secrets().items():
        data = {key: text.encode() for key, text in texts.items()}
        yield secret(name, data, "kubernetes.io/basic-auth")


def store_values(keys: Path) -> dict[str, dict[str, str]]:
    """What a secret store needs: path → property → text; raw bytes as Base64, PEM and JSON as they are."""
    values: dict[str, dict[str, str]] = {"database": {}}
    for path in sorted(path for path in keys.rglob("*") if path.is_file()):
        where = _place(path.relative_to(keys).as_posix())
        if where is not None:
            raw = path.suffix in (".key", ".pub")
            text = base64.b64encode(path.read_bytes()).decode() if raw else path.read_text(encoding="utf-8")
            values.setdefault(where[0], {})[where[1]] = text
    for name, texts in database_secrets().items():
        values["database"][name.removeprefix("database-")] = texts["password"]
    return values


def _place(name: str) -> tuple[str, str] | None:
    if name in STORE:
        path, _, inner = STORE[name].partition("/")
        return path, inner
    for place, pattern in WHOLE.values():
        if re.fullmatch(pattern, name):
            return place, name
    folder, _, inner = name.rpartition("/")
    return (folder, inner) if folder in ("clearance", "c2pa") else None


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--values", action="store_true", help="for a secret store, as JSON")
    chosen = parser.parse_args()
    make_keys(chosen.home)
    keys = chosen.home / "keys"
    if chosen.values:
        json.dump(store_values(keys), sys.stdout, indent=2)
    else:
        yaml.safe_dump_all(all_secrets(keys), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
