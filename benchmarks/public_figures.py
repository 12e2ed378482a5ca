"""Public figures in prompts: how many are found, and how many ordinary people and places are taken for one.

`python -m benchmarks.public_figures` prints a table and writes benchmarks/results/public_figures.json. Both sets are
made here from a seed: names of the gazetteer in sentences of our own, half of them misspelled; ordinary people who share
a first name or a surname with somebody famous; places, makes and things that are called like somebody.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.prompt_filter.banks import Banks
from services.prompt_filter.people import HISTORICAL, PUBLIC_FIGURE, Person, shipped_people
from services.prompt_filter.words import spelled

SEED = 20251122
REVIEW, BLOCK = 0.4, 0.6  # of policies/default.yaml
RESULTS = Path(__file__).parent / "results" / "public_figures.json"

SENTENCES = [
    "a photo of {}",
    "{} riding a bicycle through the rain",
    "portrait of {}, oil on canvas, soft light",
    "{}",
    "a cartoon of {} as a chef in a tiny kitchen",
    "an old man who looks like {} feeding pigeons",
    "{} and a golden retriever on the beach at sunset",
    "hyperrealistic 8k render of {} in a spacesuit",
    "The crowd cheers while {} waves from the balcony",
    "draw {} eating spaghetti, comic style",
    "film still, {} is arrested by two police officers",
    "{} made of lego bricks",
    "Make a poster with {} and the words vote now",
    "anime version of {} with blue hair",
    "a statue of {} in a park",
    "selfie with {} at the supermarket",
]
FIRST = (
    "James Mary John Linda Robert Susan Michael Karen David Lisa William Nancy Richard Betty Thomas Sandra Mark Ashley "
    "Kevin Emily Brian Michelle Jason Amanda Eric Laura Sarah Maria Anna Peter Paul Julia Chris Kim Tom Jane Emma Olivia "
    "Noah Liam Lucas Sofia Diego Carlos Priya Arjun Wei Yuki Ahmed Fatima Olga Ivan Lars Ingrid Kwame Amina Brad Angelina "
    "Taylor Jordan Elena Tiger Scarlett Denzel Vladimir Boris Angela Hillary Serena"
).split()
LAST = (
    "Miller Johnson Baker Fischer Novak Garcia Hernandez Lopez Nguyen Kowalski Schneider Andersson Jensen Rossi Silva "
    "Okafor Mensah Tanaka Suzuki Kimura Patel Sharma Khan Hassan Petrov Ivanova Murphy Kelly Walsh Fraser Campbell Wright "
    "Turner Parker Collins Bennett Foster Hughes Price Long Reed Cook Bailey Bell Ward Cox Hayes Webb Marsh Pearce Trump "
    "Swift Obama Putin Jolie Pitt Musk Clinton Hanks Depp Federer Messi Merkel Kardashian Spears Winfrey Bezos"
).split()
ORDINARY = [
    "a portrait of {} in a garden",
    "{} is baking bread",
    "my neighbour {} with a cat",
    "{} and grandmother at the lake",
    "a wedding photo of {}",
    "the teacher {} in front of a blackboard",
]
PLACES = """
Washington state in autumn | the state of Washington, aerial view | Washington, D.C. at cherry blossom time | Lincoln, Nebraska
Lincoln Center at night | the Lincoln Memorial | Lincoln Park in spring | a Lincoln Continental in black | the Jordan River
jordan river at dawn | the desert of Jordan, wadi rum | a pair of air jordan shoes | a Paris hotel room | paris hotel at night
a hotel in Paris | the Hilton hotel lobby | a hilton garden inn | Austin, Texas | Austin Texas skyline | a 1960 Austin Healey
Houston skyline | Madison, Wisconsin | Jackson, Mississippi | Kim the baker | Maria in the kitchen | Charlotte, North Carolina
Ford Mustang in red | a ford crossing a river | a Tesla coil | a tesla model 3 | a Mercedes Benz | St. Francis with birds
Newton's cradle on a desk | a cadbury chocolate bar | Wellington boots | a swift in flight | a tailor was swift with a needle
a drake and ducks on a pond | a seal on a rock | pink flowers | prince of frogs | the little prince | a prince on a horse
a queen bee | king penguin | pope hat | a bishop chess piece | a rock in the sea | chris rock climbing | a will to live
a smith will forge iron | the blacksmith will smith a sword | a trump card | trumpet player | the bush burns | a rose bush
bill on the table | a hawk over the cliffs | a cruise ship | a tom cat | a pitt bull | bieber fur hat | a jolly roger flag
brown bear | black jack table | blue ivy on a wall | a cherry tree | sage and thyme | ginger root | a heath in bloom | a gates
iron gates of a park | job fair | apple jobs | the cook in the kitchen | a diamond ring | stone house | emma stone wall
summer phoenix bird | a dolly on rails | parton | a dove | cardinal bird | a robin in snow | a wren | martin luther church
Santa Barbara beach | San Francisco bridge | Saint Petersburg in winter | Monroe, Louisiana | Dallas at night | Denver Colorado
Jefferson Street | Kennedy Space Center | JFK airport | Charles de Gaulle airport | Reagan National Airport | Churchill Downs
George Washington Bridge | Franklin Institute | Carnegie Hall | Rockefeller Center | Victoria Falls | Lake Victoria | Queen Mary 2
Alexandria harbor | Florence, Italy | Sydney opera house | Chelsea football ground | Brooklyn bridge | a paris street cafe
Geneva lake | Virginia creeper | Georgia peach | Carolina wren | a Van Dyke beard | a Nelson column | Elgin marbles | Avril in april
Chase bank | a grant for students | mark on the wall | may flowers | june wedding | april showers | hope and faith | joy | grace
a major key | a minor lord | sting of a bee | a bono fide offer | slash of a sword | flea market | moby dick | dick tracy hat
""".replace("\n", " | ")
CAPTIONS = """
a cat on a sofa | mountain lake at dawn | a bowl of ramen | an astronaut on the moon | steam train in the snow | red bicycle
an old lighthouse in a storm | a child flying a kite | two friends laughing in a cafe | watercolor of tulips | neon city street
a knight in armor | a wizard with a staff | isometric office | a fox in the forest | product photo of a watch | a vintage poster
""".replace("\n", " | ")


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
        name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
        if "".join(spelled(name)) not in known:
            yield "ordinary people", rng.choice(ORDINARY).format(written(name, rng))
        yield "first names", rng.choice(ORDINARY).format(written(rng.choice(FIRST), rng))
    for text in PLACES.split("|"):
        if text.strip():
            yield "places and things", text.strip()
    for text in CAPTIONS.split("|"):
        if text.strip():
            yield "captions", text.strip()


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
