"""Public figures in prompts: how many are found, and how many ordinary people and places are taken for one.

`python -m benchmarks.public_figures` prints a table and writes benchmarks/results/public_figures.json. Both sets are
made from a seed: names of the gazetteer in sentences of our own, as they are and misspelled; ordinary people who share
a first name or a surname with somebody famous; places, makes and things that are called like somebody.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from services.prompt_filter.banks import Banks
from services.prompt_filter.people import HISTORICAL, PUBLIC_FIGURE, Person, shipped_people
from services.prompt_filter.words import spelled

SEED = 20251122
REVIEW, BLOCK = 0.4, 0.6  # of policies/default.yaml
RESULTS = Path(__file__).parent / "results" / "public_figures.json"

_SETS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SENTENCES, ORDINARY, CAPTIONS, PLACES = (_SETS[name] for name in ("sentences", "ordinary", "captions", "places"))


def misspell(word: str, rng: random.Random) -> str:
    """`word` with one slip of the fingers or of the ear."""
    at = rng.randrange(1, len(word))
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :] if at > 1 else word[:at] + word[at + 1 :],
        word[:at] + rng.choice("aeiou" if word[at] in "aeiou" else "bcdfghklmnprstvw") + word[at + 1 :],
    ]
    heard = [
        (a, b)
        for a, b in (("ph", "f"), ("ck", "k"), ("c", "k"), ("k", "c"), ("y", "i"), ("ie", "y"), ("z", "s"))
        if a in word
    ]
    if heard and rng.random() < 0.4:
        return word.replace(*rng.choice(heard), 1)
    return rng.choice(slips)


def written(name: str, rng: random.Random) -> str:
    """`name` as people write it: as it is, or in small letters."""
    return name if rng.random() < 0.5 else name.lower()


def wrong(name: str, rng: random.Random) -> str:
    """`name` with one of its longer words misspelled."""
    words = name.split()
    long = [number for number, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if long:
        number = rng.choice(long)
        words[number] = misspell(words[number], rng)
    return " ".join(words)


def famous(count: int, rng: random.Random) -> Iterator[tuple[str, str, Person]]:
    """(kind, prompt, person): full names, other names and misspelled names."""
    everybody = [person for person in shipped_people() if person.score > 0.9]
    for _ in range(count):
        person = rng.choice(everybody)
        sentence = rng.choice(SENTENCES)
        yield "name", sentence.format(written(person.name, rng)), person
        if person.aliases:
            yield "other name", sentence.format(written(rng.choice(person.aliases), rng)), person
        if len(spelled(person.name)) > 1:
            yield "misspelled", sentence.format(written(wrong(person.name, rng), rng)), person


def ordinary(count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, prompt) without a public figure."""
    known = {"".join(spelled(name)) for person in shipped_people() for name in (person.name, *person.aliases)}
    for _ in range(count):
        name = f"{rng.choice(_SETS['first'])} {rng.choice(_SETS['last'])}"
        if "".join(spelled(name)) not in known:
            yield "ordinary people", rng.choice(ORDINARY).format(written(name, rng))
        yield "first names", rng.choice(ORDINARY).format(written(rng.choice(_SETS["first"]), rng))
    yield from (("places and things", text) for text in PLACES)
    yield from (("captions", text) for text in CAPTIONS)


def measure(count: int = 2_000, seed: int = SEED) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Shares by kind of prompt, and the prompts that were judged wrong."""
    banks = Banks.load()
    rng = random.Random(seed)
    totals: dict[str, list[int]] = {}
    worst: list[str] = []
    for kind, prompt, _ in famous(count, rng):
        found = [hit.entry.score for hit in banks.search(prompt) if hit.entry.category in (PUBLIC_FIGURE, HISTORICAL)]
        score = max(found, default=0.0)
        _count(totals, kind, score)
        if score < REVIEW:
            worst.append(f"missed ({kind}): {prompt}")
    for kind, prompt in ordinary(count, rng):
        found = [hit.entry.score for hit in banks.search(prompt) if hit.entry.category == PUBLIC_FIGURE]
        score = max(found, default=0.0)
        _count(totals, kind, score)
        if score >= REVIEW:
            worst.append(f"flagged ({kind}) {score}: {prompt}")
    return {
        kind: {"prompts": n, "review": reviewed / n, "block": blocked / n}
        for kind, (n, reviewed, blocked) in totals.items()
    }, worst


def _count(totals: dict[str, list[int]], kind: str, score: float) -> None:
    row = totals.setdefault(kind, [0, 0, 0])
    row[0] += 1
    row[1] += score >= REVIEW
    row[2] += score >= BLOCK


def main() -> None:
    """Prints the table and writes the figures."""
    shares, worst = measure()
    table = Table("prompts with", "number", "found (review)", "found (block)", title="Public figures")
    for kind, row in shares.items():
        table.add_row(kind, f"{row['prompts']:.0f}", f"{row['review']:.1%}", f"{row['block']:.1%}")
    Console().print(table)
    for line in worst[:: max(1, len(worst) // 60)]:
        Console(highlight=False).print(line, markup=False)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(shares, indent=2) + "\n")


if __name__ == "__main__":
    main()
