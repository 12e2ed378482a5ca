"""Files of known images: CSV and JSON with all that a bank holds, and the plain list of the threatexchange library.

The list ("pdq <64 hex digits>" a line) is what its local-file exchange reads; it knows PDQ and nothing else.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TextIO, cast

from services.core.errors import InvalidInput
from services.core.store.banks import BankEntry, Hash, HashKind, Opinion, require_valid

Format = Literal["csv", "json", "threatexchange"]

COLUMNS = ("id", "pdq", "phash256", "regions", "labels", "opinion", "enabled", "source")
SUFFIXES: dict[str, Format] = {".csv": "csv", ".json": "json", ".txt": "threatexchange"}
_KINDS: tuple[tuple[str, HashKind], ...] = (("pdq", "pdq"), ("phash256", "phash256"), ("regions", "region"))
_CELL = 1 << 20

Row = dict[str, Any]


def read_bank_file(path: Path, bank: str, tenant: str | None) -> list[BankEntry]:
    """The entries of a file, by its suffix; InvalidInput names the file and the line (of JSON, the entry) at fault.

    CSV has a line of column names: pdq, phash256 or regions (| between) in hex, and where there are any id (else the
    first hash), labels (| between), opinion, enabled, source. JSON is a list of objects with the same keys; `signal`
    and `tags` count as pdq and labels, `category` in capitals as opinion, as the threatexchange library calls them.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(str(path), f"{', '.join(SUFFIXES)} are read")
    entries: dict[str, BankEntry] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in _ROWS[kind](file):
                entry = _entry_at(f"{path}:{number}", row, bank, tenant)
                if entry.entry in entries:
                    raise InvalidInput(f"{path}:{number}", f"the id {entry.entry!r} is there twice")
                entries[entry.entry] = entry
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise InvalidInput(str(path), f"is no {kind} in UTF-8: {error}") from None
    return list(entries.values())


def write_bank_file(entries: Iterable[BankEntry], kind: Format, out: TextIO) -> None:
    """Entries as `read_bank_file` reads them; the plain list leaves out what it cannot say."""
    if kind == "threatexchange":
        for entry in entries:
            out.writelines(f"pdq {known.bits.hex()}\n" for known in entry.hashes if known.kind == "pdq")
    elif kind == "json":
        json.dump([_object(entry) for entry in entries], out, indent=1)
        out.write("\n")
    else:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in entries:
            row = _object(entry)
            lists = {name: "|".join(row[name]) for name in ("regions", "labels")}
            writer.writerow([{**row, **lists, "enabled": str(entry.enabled).lower()}[name] for name in COLUMNS])


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(_CELL)
    reader = csv.DictReader(file, strict=True)
    unknown = sorted(set(reader.fieldnames or ()) - {*COLUMNS, "hash"})
    if unknown or not reader.fieldnames:
        raise InvalidInput(
            "columns", f"{', '.join(COLUMNS)} are allowed, not {', '.join(map(repr, unknown)) or 'none'}"
        )
    for row in reader:
        if None in row or None in row.values():
            raise InvalidInput(
                f"line {reader.line_num}", f"has not {len(reader.fieldnames)} cells as the first line has"
            )
        lists = {name: [part for part in row.get(name, "").split("|") if part] for name in ("regions", "labels")}
        yield reader.line_num, {**row, **lists}


def _json_rows(file: TextIO) -> Iterator[tuple[int, Row]]:
    rows = json.load(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput("json", "a list of objects is needed")
    yield from enumerate(cast(list[Row], rows), 1)


def _list_rows(file: TextIO) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        kind, _, signal = line.strip().partition(" ")
        if kind != "pdq":
            raise InvalidInput(f"line {number}", '"pdq", a space and 64 hex digits are needed')
        yield number, {"pdq": signal.strip()}


_ROWS = {"csv": _csv_rows, "json": _json_rows, "threatexchange": _list_rows}


def _entry_at(place: str, row: Row, bank: str, tenant: str | None) -> BankEntry:
    try:
        entry = _entry(row, bank, tenant)
        require_valid(entry)
    except (InvalidInput, TypeError) as error:
        raise InvalidInput(place, str(error)) from None
    return entry


def _entry(row: Row, bank: str, tenant: str | None) -> BankEntry:
    if row.get("signal_type", "pdq") != "pdq":
        raise InvalidInput("signal_type", "only pdq is read")
    values = {**row, "pdq": row.get("pdq") or row.get("hash") or row.get("signal") or ""}
    hashes = tuple(
        _hash(kind, text)
        for name, kind in _KINDS
        for text in (_texts(name, values.get(name)) if name == "regions" else [values.get(name) or ""])
        if text
    )
    entry = BankEntry(
        bank,
        str(row.get("id") or (hashes[0].bits.hex() if hashes else "")),
        hashes,
        tenant,
        tuple(_texts("labels", row.get("labels") or row.get("tags"))),
        source=str(row.get("source") or ""),
    )
    opinion = str(row.get("opinion") or row.get("category") or entry.opinion).lower()
    return replace(entry, opinion=cast(Opinion, opinion), enabled=_flag(row.get("enabled")))


def _hash(kind: HashKind, text: str) -> Hash:
    try:
        return Hash(kind, bytes.fromhex(text))
    except ValueError:
        raise InvalidInput(kind, "64 hex digits are needed") from None


def _texts(name: str, value: object) -> list[str]:
    if value in (None, ""):
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidInput(name, "a list of texts is needed")
    return value


def _flag(value: object) -> bool:
    text = "true" if value in (None, "") else str(value).lower()
    if text not in ("true", "false"):
        raise InvalidInput("enabled", "true or false is needed")
    return text == "true"


def _object(entry: BankEntry) -> Row:
    hashes = {kind: [known.bits.hex() for known in entry.hashes if known.kind == kind] for _, kind in _KINDS}
    return {
        "id": entry.entry,
        "pdq": next(iter(hashes["pdq"]), ""),
        "phash256": next(iter(hashes["phash256"]), ""),
        "regions": hashes["region"],
        "labels": list(entry.labels),
        "opinion": entry.opinion,
        "enabled": entry.enabled,
        "source": entry.source,
    }
