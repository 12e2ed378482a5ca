"""Which words of a text are to blame for a score."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]")
# They stand in every text and are never to blame; a refusal that names them would explain nothing.
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
    a an the this that these those some any every each all both another other such same no not n't
    i me my mine you your yours he him his she her hers it its we us our ours they them their theirs who whom whose what
    which one ones and or but nor so yet if then than as at by for from in into of off on onto out over to up down with
    within without under above below behind beside between near through during after before about against around
    is are was were be been being am do does did doing done has have had having will would shall should can could may
    might must let just very too also only there here where when while how why because until again more most
    photo photograph picture image drawing painting illustration render art style generate create show draw make please
    """,
    )
)
# Nor are the groups that people belong to: what is said of them is. They may stand beside the word that is.
_GROUPS = frozenset(
    re.findall(
        r"\S+",
        """
        people person persons man men woman women guy guys lady ladies girl girls boy boys kid kids child children
        male males female females gay gays lesbian lesbians bisexual bi trans transgender queer lgbt homosexual straight
        heterosexual nonbinary african africans black blacks white whites european europeans hispanic latino latina
        latinos mexican mexicans canadian american americans asian asians indian indians chinese japanese korean arab
        arabs turk turks polish russian russians nigerian somali pakistani gypsies roma romani immigrant immigrants
        migrant migrants refugee refugees foreigner foreigners native natives christian christians muslim muslims islam
        jew jews jewish judaism buddhist catholic catholics protestant sikh sikhs hindu hindus taoist old older young
        younger elderly blind deaf disabled paralyzed wheelchair autistic
        """,
    )
)
# A neighbour that speaks this loudly beside the loudest word belongs to it ("red liquid").
_BESIDE = 0.5
_MOST = 3
# How much what a word says by itself weighs beside what it says where it stands.
_BY_ITSELF = 0.25


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    share: float
    counts: bool
    alone: bool


def loudest(
    text: str,
    places: Sequence[tuple[int, int]],
    shares: Sequence[float],
    says: Callable[[str], float],
) -> tuple[int, int] | None:
    """Start and end in `text` of the one to three neighbouring words with most of the score; None where none has any.

    `shares` are what the tokens at `places` (start, end, in order) add to the logit, `says` what a word by itself does.
    """
    words = list(_words(text, places, shares, says))
    best = max((word for word in words if word.alone), key=lambda word: word.share, default=None)
    if best is None or best.share <= 0:
        return None
    first = last = words.index(best)
    while last - first + 1 < _MOST:
        beside = [at for at in (first - 1, last + 1) if 0 <= at < len(words) and words[at].counts]
        at = max(beside, key=lambda at: words[at].share, default=None)
        if at is None or words[at].share < _BESIDE * best.share:
            break
        first, last = min(first, at), max(last, at)
    return words[first].start, words[last].end


def _words(
    text: str, places: Sequence[tuple[int, int]], shares: Sequence[float], says: Callable[[str], float]
) -> Iterator[_Word]:
    """The words of the text that the tokens cover, each with the sum of its tokens' shares and what it says itself."""
    tokens = list(zip(places, shares, strict=True))
    at = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        while at < len(tokens) and tokens[at][0][1] <= start:
            at += 1
        inside = [share for (begin, _), share in tokens[at : at + end - start] if begin < end]
        if inside:
            said = match.group().lower()
            counts = said[0].isalnum() and said not in _FUNCTION_WORDS
            share = sum(inside) + (says(said) * _BY_ITSELF if counts else 0.0)
            yield _Word(start, end, share, counts, counts and said not in _GROUPS)
