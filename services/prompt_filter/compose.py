"""Signals made of others: what looks sexual beside words of age is `sexual.minors`.

No model is trained for this category and no text of it is kept. The sexual score counts in full beside a plain word of
age and in part beside one that adults are called by too; thresholds on the result are low (see the policy's floor).
"""

from __future__ import annotations

import re

_NUMBERS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
_PLAIN = re.compile(
    rf"\b(?:(?:[1-9]|1[0-7]|{_NUMBERS})[ -]?(?:years?|yrs?|y/?o|yo)(?:[ -]olds?)?\b"
    r"|(?:aged?|turning) (?:[1-9]|1[0-7])\b"
    r"|(?:child|children|kids?|toddlers?|infants?|bab(?:y|ies)|newborns?|minors?|underaged?|preteens?|pre-?teens?|tweens?"
    r"|teens?|teenagers?|teenaged?|adolescents?|juveniles?|pubescents?|prepubescents?|pupils?|preschoolers?"
    r"|kindergartners?|schoolgirls?|schoolboys?|schoolkids?|schoolchild(?:ren)?|lolis?|lolitas?|shotas?|lolicon|shotacon"
    r"|jailbait|(?:little|young|small|tiny) (?:girls?|boys?|ones?)"
    r"|(?:middle|elementary|primary|high)[ -]school(?:ers?)?"
    r"|(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)[ -]graders?)\b)",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"\b(?:girls?|boys?|youths?|youthful|daughters?|sons?|nieces?|nephews?|childlike|pigtails|barely legal)\b",
    re.IGNORECASE,
)
_VAGUE_WEIGHT = 0.25
SOURCE = "composed/1"


def minors_score(text: str, sexual: float) -> tuple[float, tuple[int, int] | None]:
    """The score of `sexual.minors` (0…1) for a readable text whose sexual score is `sexual`, and the word of age."""
    if found := _PLAIN.search(text):
        return sexual, found.span()
    if found := _VAGUE.search(text):
        return sexual * _VAGUE_WEIGHT, found.span()
    return 0.0, None
