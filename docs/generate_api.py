"""Prints docs/api.md: the contract as a page, from the comments in proto/. Run by `make docs`."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "portcullis.v1"
# The door first, then what every service shares, then the rooms behind the door.
FIRST = ("gateway", "checks")
# Numbers of fields in descriptor.proto, by which comments are addressed.
MESSAGES, ENUMS, SERVICES, MEMBERS = 4, 5, 6, 2

HEADER = f"""# The API

Package `{PACKAGE}`, over gRPC with TLS. This page is written from the comments in `proto/` by `make docs`.

Platforms reach the [gateway](#gateway) alone; the other services answer each other, by certificate.
Errors are `google.rpc.Status` with details; a refusal by policy is an answer, not an error.
"""

Comments = dict[tuple[int, ...], str]


def main() -> None:
    """Writes the page to standard output."""
    parts = [HEADER]
    for file in sorted(read_protos().file, key=_order):
        if file.package == PACKAGE:
            parts.extend(page(file))
    sys.stdout.write("\n".join(parts))


def read_protos() -> FileDescriptorSet:
    """Every proto file of the house with its comments."""
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        known = files("grpc_tools") / "_proto"
        arguments = [
            "protoc",
            f"-I{ROOT / 'proto'}",
            f"-I{known}",
            "--include_source_info",
            f"--descriptor_set_out={out}",
        ]
        if protoc.main([*arguments, *protos]) != 0:
            raise SystemExit("protoc failed; its message is above")
        return FileDescriptorSet.FromString(out.read_bytes())


def page(file: FileDescriptorProto) -> Iterator[str]:
    """The section of one proto file."""
    comments = {tuple(at.path): _one_line(at.leading_comments) for at in file.source_code_info.location}
    yield f"## {_title(file)}\n"
    for index, service in enumerate(file.service):
        yield from _service(service, comments, (SERVICES, index))
    for index, message in enumerate(file.message_type):
        yield from _message(message, comments, (MESSAGES, index))
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, comments, (ENUMS, index))


def _service(service: ServiceDescriptorProto, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    yield f"### {service.name}\n\n{comments[path]}\n\n| call | takes | answers | |\n|---|---|---|---|"
    for index, method in enumerate(service.method):
        answer = ("stream of " if method.server_streaming else "") + _link(method.output_type)
        yield f"| `{method.name}` | {_link(method.input_type)} | {answer} | {comments[*path, MEMBERS, index]} |"
    yield ""


def _message(message: DescriptorProto, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    yield f"### {message.name}\n\n{comments[path]}\n"
    if not message.field:
        return
    yield "| field | type | |\n|---|---|---|"
    maps = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
    for index, field in enumerate(message.field):
        yield f"| `{field.name}` | {_kind(field, maps)} | {comments[*path, MEMBERS, index]} |"
    yield ""


def _enum(enum: EnumDescriptorProto, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    yield f"### {enum.name}\n\n{comments[path]}\n\n| value | number | |\n|---|---|---|"
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {comments[*path, MEMBERS, index]} |"
    yield ""


def _kind(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    if entry := maps.get(field.type_name.rpartition(".")[2]):
        key, value = (_kind(inner, {}) for inner in entry.field)
        return f"map of {key} to {value}"
    name = _link(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {name}"
    if field.HasField("oneof_index"):
        return f"{name}, optional" if field.proto3_optional else f"{name}, one of these"
    return name


def _link(type_name: str) -> str:
    package, _, name = type_name.lstrip(".").rpartition(".")
    return f"[{name}](#{name.lower()})" if package == PACKAGE else f"`{package}.{name}`"


def _title(file: FileDescriptorProto) -> str:
    return Path(file.name).stem.replace("_", " ").capitalize()


def _order(file: FileDescriptorProto) -> tuple[int, str]:
    stem = Path(file.name).stem
    return FIRST.index(stem) if stem in FIRST else len(FIRST), stem


def _one_line(comment: str) -> str:
    return re.sub(r"\s+", " ", comment).strip().replace("|", "\\|")


if __name__ == "__main__":
    main()
