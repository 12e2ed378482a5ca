"""What a negative prompt means for the picture: it names what shall not be shown.

Blood or nudity that is named here is wanted away, so its words are no violation. What is read is what their absence
shows: without clothes or censorship a person is nude, and without adults a sexual picture is not of adults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from services.core.signals import Signal
from services.prompt_filter.classifier import SOURCE, EncoderClassifier
from services.prompt_filter.compose import SOURCE as COMPOSED
from services.prompt_filter.normalize import Form

_COVER = re.compile(
    r"\b(?:clothe[ds]?|clothing|garments?|apparel|attire|fully dressed|dressed|underwear|undergarments?|bras?|panties"
    r"|bikinis?|swimsuits?|swimwear|lingerie|covered(?: up)?|modest(?:y)?|censor(?:ed|ing|ship|s)?|censor bars?|mosaic"
    r"|sfw|safe for work)\b",
    re.IGNORECASE,
)
_ADULTS = re.compile(
    r"\b(?:adults?|adulthood|grown[ -]?ups?|of age|over 18|18\+|18 years|(?:mature|old|older|grown) (?:wo)?m[ae]n)"
    r"(?!\w)",
    re.IGNORECASE,
)
_BODY = re.compile(
    r"\b(?:wom[ae]n|m[ae]n|persons?|people|couples?|girls?|boys?|guys?|lad(?:y|ies)|gentlem[ae]n|males?|females?|adults?"
    r"|teen\w*|child\w*|models?|characters?|figures?|actors?|actress(?:es)?|singers?|dancers?|athletes?|swimmers?"
    r"|bathers?|lovers?|wi(?:fe|ves)|husbands?|bride|groom|mother|father|sisters?|brothers?|queens?|kings?|princess(?:es)?"
    r"|nurses?|teachers?|doctors?|students?|celebrit(?:y|ies)|warriors?|knights?|elf|elves|mermaids?|angels?|goddess(?:es)?"
    r"|she|he|her|his|him|they|someone|somebody|body|bodies|skin|face|hair|legs?|chest|breasts?|selfie|portrait|waifu"
    r"|anime|posing|pose|sunbathing|bathing|showering|undressing|lying|sitting|kneeling|yoga)\b",
    re.IGNORECASE,
)
# What is left of a score where nobody seems to be there to be uncovered: not enough to call a person.
_NOBODY = 0.4


def absences(negative: Form, prompt: Form, classifier: EncoderClassifier, sexual: float) -> Iterator[Signal]:
    """Signals of what `negative`, readable, takes away from `prompt`, whose own sexual score is `sexual` (0…1).

    Spans point into the original of the negative prompt.
    """
    if cover := _COVER.search(negative.text):
        bare = classifier.read(f"{prompt.text}, without clothes").scores["sexual"]
        sexual = max(sexual, bare if _BODY.search(prompt.text) else min(bare, _NOBODY))
        yield Signal("sexual", sexual, SOURCE, replace(negative.span(*cover.span()), form="negative"))
    if adults := _ADULTS.search(negative.text):
        yield Signal("sexual.minors", sexual, COMPOSED, replace(negative.span(*adults.span()), form="negative"))
