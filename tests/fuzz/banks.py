"""Any bytes as a file of terms, people, known images or concepts, or as the description of an exchange.

A file is refused with a PortcullisError of ours, or what it gives is good for use: terms can be searched for, entries
keep the store's bounds. More than two seconds for one file is a finding.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from services.combo_filter.concept_bank import parse_bank as parse_concepts
from services.core.errors import ConfigurationError, InvalidInput
from services.core.store.banks import require_valid
from services.image_filter import bank_file as images
from services.image_filter.exchange import collaboration
from services.prompt_filter.bank_file import parse_bank as parse_terms
from services.prompt_filter.people_file import read_people_file
from services.prompt_filter.term_bank import TermBank

WATCHED = (
    "services.prompt_filter.bank_file",
    "services.prompt_filter.people_file",
    "services.prompt_filter.term_bank",
    "services.image_filter",
    "services.combo_filter",
    "services.core.policy.positions",
    "yaml",
)
_SECONDS = 2.0
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").exists() else None))


def _terms(form: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        terms = parse_terms(data, "fuzz", form)  # type: ignore[arg-type]
        TermBank(terms, "fuzz").search("a harmless text", [])

    return read


def _people(suffix: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        found = read_people_file(_file(data, suffix), lambda _word: False, lambda _bytes: None)
        assert all(person.name.isprintable() and 0 < person.score <= 1 for person in found.people.values())

    return read


def _images(suffix: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        for entry in images.read_bank_file(_file(data, suffix), "fuzz", None):
            require_valid(entry)

    return read


def _concepts(data: bytes) -> None:
    bank = parse_concepts(data.decode("utf-8", "replace"), "fuzz")
    assert all(sentences.yes and sentences.no for sentences in bank.values())


def _exchange(data: bytes) -> None:
    collaboration(_file(data, ".json"))


def _file(data: bytes, suffix: str) -> Path:
    path = _FOLDER / f"bank{suffix}"
    path.write_bytes(data)
    return path


# By the first letter of an input.
READERS: dict[bytes, Callable[[bytes], None]] = {
    b"c": _terms("csv"),
    b"y": _terms("yaml"),
    b"p": _people(".csv"),
    b"q": _people(".json"),
    b"i": _images(".csv"),
    b"j": _images(".json"),
    b"t": _images(".txt"),
    b"k": _concepts,
    b"x": _exchange,
}


def taken(data: bytes) -> bool:
    """One file; its first letter says of which kind."""
    read = READERS.get(data[:1])
    if read is None:
        return False
    begin = time.process_time()
    try:
        read(data[1:])
    except (InvalidInput, ConfigurationError):
        return False
    finally:
        assert time.process_time() - begin < _SECONDS
    return True


def seeds() -> dict[str, bytes]:
    """One good file of each kind."""
    pdq = "f" * 64
    entry = {"id": "one", "pdq": pdq, "labels": ["a"], "opinion": "positive_class", "enabled": True, "source": "s"}
    exchange = {"name": "n", "api": "sample"}
    person = {"item": {"value": "http://www.wikidata.org/entity/Q1"}, "itemLabel": {"value": "Ada Lovelace"}}
    files = {
        "c": "term,kind,category,score,near,within\nacme,exact,spam,0.9,,\na.c,re2,spam,0.9,x|y,3\n",
        "y": "terms:\n  - {term: acme corp, kind: fuzzy, category: spam, score: 0.9, distance: 1}\n",
        "p": "item,itemLabel,aliases,died,sitelinks\nQ1,Ada Lovelace,A. Lovelace,1852-11-27T00:00:00Z,90\n",
        "q": json.dumps({"results": {"bindings": [person]}}),
        "i": f"id,pdq,labels,opinion,enabled,source\none,{pdq},a|b,positive_class,true,s\n",
        "j": json.dumps([entry]),
        "t": f"pdq {pdq}\n",
        "k": 'concept.own.cup:\n  "yes": ["a cup"]\n  "no": ["a table"]\n',
        "x": json.dumps(exchange),
    }
    return {f"file-{kind}": (kind + text).encode() for kind, text in files.items()}
