"""Measurements that no threshold judges: what rules and the combo filter may ask by name, beside the categories."""

from __future__ import annotations

import re

from services.core.policy.categories import CATEGORIES

PREFIX = "concept."

# name -> what a score of 1 says. Filters may emit others; a rule may name only these, so that a slip of the pen is
# refused when the policy is loaded and does not become a rule that never fires.
CONCEPTS: dict[str, str] = {
    # of the picture, by the image filter or by a joint encoder
    "concept.photo": "the picture looks like a photograph",
    "concept.face": "a face is in the picture",
    "concept.child": "a photographed face may be a child's",
    "concept.person": "a person is in the picture",
    "concept.people": "ten persons or more are in the picture; each one adds 0.1",
    "concept.skin": "all of the picture has colours of skin; the score is the share",
    "concept.quality": "the picture is sharp and full of detail",
    "concept.bathroom": "the picture shows a bathroom or a shower",
    "concept.bedroom": "the picture shows a bed or a bedroom",
    "concept.building": "the picture shows a building, a street or a city",
    "concept.crowd": "the picture shows a crowd or a protest",
    "concept.text": "words stand in the picture; its box is where",
    "concept.document": "the picture shows a document, a sign or a screen with text",
    "concept.disaster": "the picture shows fire, smoke, rubble or an accident",
    "concept.prison": "the picture shows a prison, a cell or an arrest",
    "concept.faith_place": "the picture shows a place of a faith or a prayer",
    "concept.weapon": "the picture shows a weapon",
    "concept.polling_place": "the picture shows an election: a polling place, a ballot box, a queue of voters",
    "concept.protest": "the picture shows a protest, a march or a rally",
    "concept.memorial": "the picture shows a memorial, a grave or a funeral",
    "concept.hospital": "the picture shows a hospital or somebody being treated",
    "concept.news_scene": "the picture reports something: the press, the police, an accident, a statement",
    "concept.swimwear": "the picture shows somebody in swimwear or underwear",
    "concept.uniform": "the picture shows somebody in uniform",
    "concept.faith_dress": "the picture shows somebody in the dress of a faith",
    "concept.alcohol": "the picture shows alcohol",
    "concept.food": "the picture shows food",
    "concept.school": "the picture shows a school, a classroom or a nursery",
    # of a doubtful prompt or picture, by a guard model where one is configured
    "concept.second_opinion": "a guard model calls the text unsafe",
    "concept.picture_opinion": "a guard model calls the picture sexually explicit",
    # of the prompt, by the combo filter
    "concept.add_person": "the prompt puts a person into the picture, or names one",
    "concept.change_person": "the prompt changes a person of the picture",
    "concept.undress": "the prompt takes clothes off or shows bare skin",
    "concept.change_clothes": "the prompt changes what a person wears",
    "concept.name_clothes": "the prompt names a piece of clothing and nobody who wears it",
    "concept.faith_sign": "the prompt puts a sign of faith on a person, or takes one off",
    "concept.swap_face": "the prompt exchanges a person's face or identity",
    "concept.compromise": "the prompt puts a person where it harms them: in handcuffs, behind bars, with drugs",
    "concept.stage_event": "the prompt stages an event: fire, smoke, explosion, crash, flood, rubble, riot",
    "concept.stage_crowd": "the prompt stages a crowd, a protest or a rally",
    "concept.change_text": "the prompt writes or changes words on a sign, a document, a screen or a shirt",
    "concept.add_weapon": "the prompt puts a weapon into the picture",
    "concept.set_scene": "the prompt moves the people of the picture to another place or occasion",
    "concept.change_evidence": "the prompt adds or takes away something that a picture proves: damage, a wound, goods",
    "concept.alters": "the prompt changes who is shown or what the picture proves, in whatever way",
    "concept.style": "the prompt changes light, season, weather, colour or style",
    # of the mask and the request, by the combo filter
    "concept.operation.edit": "the request is an edit",
    "concept.operation.variation": "the request is a variation",
    "concept.mask.share": "share of the picture that the mask opens",
    "concept.mask.person": "share of a face's or a person's box that the mask opens, times how surely it is one",
    "concept.mask.text": "share of what the mask opens that is words, times how surely they are",
}

# What may call a person and never refuse: a rule that reads one of these must say REVIEW.
REVIEW_ONLY = frozenset({"concept.picture_opinion"})


def is_concept(category: str) -> bool:
    """Whether a signal of `category` is a measurement for rules only."""
    return category.startswith(PREFIX)


def _halves() -> frozenset[str]:
    """The scores of both halves as a pair's rules see them: `concept.prompt.sexual`, `concept.upload.violence` …"""
    return frozenset(f"{PREFIX}{half}.{category}" for half in ("prompt", "upload") for category in CATEGORIES)


# Of an operator's own concept bank, which the policy cannot know.
_OWN = re.compile(r"concept\.own\.[a-z][a-z0-9_]{0,31}")


def is_own(name: str) -> bool:
    """Whether a concept is one of an operator's own concept bank: `concept.own.<name>`."""
    return _OWN.fullmatch(name) is not None


def is_rule_name(name: str) -> bool:
    """Whether a rule may ask for a score of this name."""
    return name in RULE_NAMES or is_own(name)


RULE_NAMES: frozenset[str] = frozenset(CATEGORIES) | frozenset(CONCEPTS) | _halves()
