"""Lists the words for people and for clothes that the combo filter knows, from WordNet 3.0 (Princeton University).

    python -m training.pair_words.build WORDNET_DICT LEXICONS

WORDNET_DICT is the folder with `data.noun` (Debian: package wordnet-base, /usr/share/wordnet), LEXICONS the folder of
word lists whose entries are left out, because the prompt filter judges them.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "services" / "combo_filter" / "data"
LISTS = {"people.txt": "person", "garments.txt": "clothing"}

# Lexicographer files whose other sense of a word makes it doubtful: animal, artifact, food, location, plant, substance.
_THINGS = {5, 6, 13, 15, 20, 27}
_MOSTLY = 0.6  # share of a word's uses in SemCor that must be of the wanted sense
_WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True, slots=True)
class WordNet:
    """Nouns: words and file of each synset, hyponyms of each, synsets of each word, how often each was tagged."""

    words: dict[str, list[str]]
    files: dict[str, int]
    hyponyms: dict[str, list[str]]
    senses: dict[str, list[str]]
    tagged: dict[tuple[str, str], int]
    other_parts: frozenset[str]

    def below(self, synset: str) -> set[str]:
        """The synset and all its hyponyms."""
        seen, queue = {synset}, [synset]
        while queue:
            for lower in self.hyponyms[queue.pop()]:
                if lower not in seen:
                    seen.add(lower)
                    queue.append(lower)
        return seen

    def meaning(self, root: str) -> list[str]:
        """Single words whose first sense, and most use, lies below the first sense of `root`."""
        below = self.below(self.senses[root][0])
        found = {word for synset in below for word in self.words[synset] if _WORD.fullmatch(word)}
        return sorted(word for word in found if self._means(word, below))

    def _means(self, word: str, below: set[str]) -> bool:
        senses = self.senses[word]
        mine = sum(self.tagged.get((word, sense), 0) for sense in senses if sense in below)
        total = sum(self.tagged.get((word, sense), 0) for sense in senses)
        if senses[0] not in below or (total and mine / total < _MOSTLY):
            return False
        doubtful = word in self.other_parts or any(self.files[s] in _THINGS for s in senses if s not in below)
        return mine >= 2 or not doubtful


def read(folder: Path) -> WordNet:
    """WordNet's noun files (wndb(5WN), cntlist(5WN))."""
    words, files, hyponyms = {}, {}, defaultdict(list)
    for fields in _lines(folder / "data.noun"):
        synset, count = fields[0], int(fields[3], 16)
        files[synset], words[synset] = int(fields[1]), fields[4 : 4 + 2 * count : 2]
        pointers = fields[5 + 2 * count :]
        for symbol, target, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False):
            if symbol == "@" and part == "n":
                hyponyms[target].append(synset)
    senses = {fields[0]: fields[-int(fields[2]) :] for fields in _lines(folder / "index.noun")}
    others = frozenset(fields[0] for part in ("adj", "verb") for fields in _lines(folder / f"index.{part}"))
    return WordNet(words, files, hyponyms, senses, _tagged(folder / "cntlist.rev", senses), others)


def _lines(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[0].split() for line in text if not line.startswith("  ")]


def _tagged(path: Path, senses: dict[str, list[str]]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for key, number, count in _lines(path):
        word, _, rest = key.partition("%")
        if rest.startswith("1:") and int(number) <= len(senses.get(word, [])):
            counts[word, senses[word][int(number) - 1]] = int(count)
    return counts


def left_out(lexicons: Path) -> set[str]:
    """Words of the profanity lists, and those that mislead in pictures (`left_out.txt`)."""
    plain = (lexicons / "ldnoobw_en.txt").read_text(encoding="utf-8").splitlines()
    with (lexicons / "surge_profanity_en.csv").open(encoding="utf-8", newline="") as file:
        listed = [cell for row in csv.DictReader(file) for cell in row.values() if cell]
    misleading = (Path(__file__).parent / "left_out.txt").read_text(encoding="utf-8").split()
    return {*plain, *(cell.lower() for cell in listed), *misleading}


def main(wordnet: Path, lexicons: Path) -> None:
    """Writes the lists."""
    nouns, out = read(wordnet), left_out(lexicons)
    for name, root in LISTS.items():
        words = [word for word in nouns.meaning(root) if word not in out]
        (DATA / name).write_text("\n".join(words) + "\n", encoding="utf-8")
        print(f"{name}: {len(words)} words")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
