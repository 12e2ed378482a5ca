"""From what the steps found in the two forms of a text to signals that point into the original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.core.signals import Signal, TextSpan, with_zeros
from services.prompt_filter.banks import PEOPLE, Hit
from services.prompt_filter.classifier import SOURCE, Scored
from services.prompt_filter.compose import SOURCE as COMPOSED
from services.prompt_filter.compose import minors_score
from services.prompt_filter.normalize import Form
from services.prompt_filter.people import HISTORICAL, PUBLIC_FIGURE
from services.prompt_filter.words import fold

NORMALIZER = "normalizer/1"
# Below this a score needs no words to explain it.
EXPLAINED = 0.3


@dataclass(frozen=True, slots=True)
class Reading:
    """What banks and classifier found in one form of the text."""

    form: Form
    hits: list[Hit]
    scored: Scored

    @property
    def scores(self) -> dict[str, float]:
        """What the classifier says."""
        return self.scored.scores

    def worst(self) -> dict[str, float]:
        """The highest score of each category."""
        worst = dict(self.scores)
        for hit in self.hits:
            if hit.excepted:
                continue
            worst[hit.entry.category] = max(hit.entry.score, worst.get(hit.entry.category, 0.0))
        return worst


def gather(readings: list[Reading]) -> tuple[Signal, ...]:
    """All signals of a text from its readings: first the original, then the undressed where it reads differently."""
    signals = [*_bank_signals(readings), *_scores(readings)]
    sexual = sexual_score(readings)
    score, age = max((minors_score(reading.form.text, sexual) for reading in readings), key=lambda found: found[0])
    form = next((r.form for r in readings if minors_score(r.form.text, sexual) == (score, age)), readings[0].form)
    signals.append(Signal("sexual.minors", score, COMPOSED, form.span(*age) if age and score >= EXPLAINED else None))
    signals.append(_evasion(readings, signals))
    return with_zeros(signals, [PUBLIC_FIGURE, HISTORICAL], PEOPLE)


def sexual_score(readings: Sequence[Reading]) -> float:
    """What `sexual.minors` is composed of: the highest sexual score of all, excepted by the tenant or not."""
    hits = [hit.entry.score for reading in readings for hit in reading.hits if hit.entry.category == "sexual"]
    return max([*hits, *(reading.scores.get("sexual", 0.0) for reading in readings)])


def _bank_signals(readings: Iterable[Reading]) -> Iterator[Signal]:
    """One signal a hit; what the original shows already is not told again."""
    told: set[tuple[str, int, int]] = set()
    for reading in readings:
        for hit in reading.hits:
            if hit.excepted:
                continue
            span = reading.form.span(hit.start, hit.end)
            if (place := (hit.entry.category, span.start, span.end)) not in told:
                told.add(place)
                yield Signal(hit.entry.category, hit.entry.score, hit.entry.source, span)


def _scores(readings: list[Reading]) -> Iterator[Signal]:
    """One signal a category, from the form in which it scores highest."""
    best = {name: max(readings, key=lambda reading: reading.scores[name]) for name in readings[0].scores}
    spans: dict[str, TextSpan] = {}
    for reading in readings:
        loud = [name for name in best if best[name] is reading and reading.scores[name] >= EXPLAINED]
        places = reading.scored.culprits(loud) if loud else {}
        spans |= {name: reading.form.span(*place) for name, place in places.items()}
    for name, reading in best.items():
        yield Signal(name, reading.scores[name], SOURCE, spans.get(name))


def _evasion(readings: list[Reading], signals: list[Signal]) -> Signal:
    """How much is hidden: what the undressed form shows more than the original, or shows by words that were disguised.

    Emoji, accents and stress alone disguise nothing.
    """
    original, readable = readings[0], readings[-1]
    if not readable.form.disguised:
        return Signal("evasion", 0.0, NORMALIZER)
    before, after = original.worst(), readable.worst()
    gains = {category: score - before.get(category, 0.0) for category, score in after.items()}
    gains.pop(HISTORICAL, None)  # nobody has a reason to hide Caesar
    category = max(gains, key=lambda name: gains[name])
    spans = (s.evidence for s in signals if s.category == category and isinstance(s.evidence, TextSpan))
    gained = max(0.0, gains[category]), next((span for span in spans if span.form == "undressed"), None)
    score, evidence = max([gained, *_disguised(original, readable)], key=lambda found: found[0])
    return Signal("evasion", score, NORMALIZER, evidence)


def _disguised(original: Reading, readable: Reading) -> Iterator[tuple[float, TextSpan]]:
    """The scores of the undressed form whose words to blame are written otherwise in the original, and where."""
    loud = [name for name, score in readable.scores.items() if score >= EXPLAINED]
    for name, (start, end) in (readable.scored.culprits(loud) if loud else {}).items():
        span = readable.form.span(start, end)
        if fold(original.form.within(span)) != fold(readable.form.text[start:end]):
            yield readable.scores[name], span
