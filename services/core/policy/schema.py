"""What a policy document may say: its fields, their types and ranges."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from services.core.policy.anomaly_rules import AnomalyRules
from services.core.policy.categories import Stage
from services.core.policy.complaint_rules import ComplaintRules
from services.core.policy.diversity_rules import DiversityRules
from services.core.policy.fields import CategoryName, ScoreName, Section
from services.core.policy.floors import MAX_THRESHOLD
from services.core.policy.limit_rules import LimitRules
from services.core.policy.notice_rules import NoticeRules
from services.core.policy.review_rules import ReviewRules
from services.core.policy.signature_rules import SignatureRules
from services.core.policy.standing_rules import StandingRules

NEVER = math.inf

Action = Literal["hold", "release"]


def _threshold(value: float) -> float:
    if not 0 < value <= MAX_THRESHOLD:
        raise ValueError(f"threshold {value:g} is out of range: above 0, at most {MAX_THRESHOLD}")
    return value


def _never_to_infinity(value: object) -> object:
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"threshold is out of range: above 0, at most {MAX_THRESHOLD}, or never")
    return NEVER if value == "never" else value


def _threshold_or_never(value: float) -> float:
    return value if value == NEVER else _threshold(value)


def _infinity_to_never(value: float) -> float | str:
    return "never" if value == NEVER else value


ReviewAt = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_threshold)]
BlockAt = Annotated[
    float,
    BeforeValidator(_never_to_infinity),
    AfterValidator(_threshold_or_never),
    PlainSerializer(_infinity_to_never),
]


def _same_for_all(value: object) -> object:
    """A bare number holds for every tier; a tier left out gets what `new` gets, `invited` what `trusted` gets."""
    if not isinstance(value, dict):
        return {"new": value, "trusted": value, "red_team": value}
    rest = {tier: value["new"] for tier in ("trusted", "red_team") if tier not in value and "new" in value}
    return {**value, **rest}


class _Tiers(Section):
    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves `invited` out where it is not said, so that policies from before it keep their id."""
        return {tier: value for tier, value in dump(self).items() if value is not None}


class ReviewTiers(_Tiers):
    """The score from which a person looks, by tier of trust."""

    new: ReviewAt
    trusted: ReviewAt
    invited: ReviewAt | None = None
    red_team: ReviewAt


class BlockTiers(_Tiers):
    """The score from which content is refused, by tier; `never` leaves it to people (and demands `hold`)."""

    new: BlockAt
    trusted: BlockAt
    invited: BlockAt | None = None
    red_team: BlockAt


class Limits(Section):
    """What may be said for a category, and again for one stage of it; what is left out is inherited."""

    review: Annotated[ReviewTiers, BeforeValidator(_same_for_all)] | None = None
    block: Annotated[BlockTiers, BeforeValidator(_same_for_all)] | None = None
    action: Action | None = None
    show: bool | None = None


class CategoryLimits(Limits):
    """Limits of one category, with exceptions by stage."""

    stages: dict[Stage, Limits] = Field(default={})


class Defaults(Section):
    """What holds where neither a category nor its parent says anything."""

    review: Annotated[ReviewTiers, BeforeValidator(_same_for_all)]
    block: Annotated[BlockTiers, BeforeValidator(_same_for_all)]
    action: Action = "hold"
    show: bool = True


class Example(Section):
    """What a rule is tried on: an edit's words, which the combo filter measures, and the scores of everything else."""

    prompt: str = Field(default="", max_length=2000)
    scores: dict[ScoreName, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    capabilities: list[str] = Field(default=[])


class Examples(Section):
    """What must fire a rule and what must not; `portcullis policy test` tries them all. No part of a policy's id."""

    fires: list[Example] = Field(min_length=1)
    passes: list[Example] = Field(min_length=1)


class Rule(Section):
    """A named CEL expression over the scores of one request; it can refuse or call a person, never allow."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    when: str = Field(min_length=1, max_length=2000)
    category: CategoryName
    verdict: Literal["REVIEW", "BLOCK"]
    message: str = Field(min_length=1, max_length=300)
    action: Action = "hold"
    stages: list[Stage] = Field(default=["prompt", "upload", "pair", "output"], min_length=1)
    examples: Examples | None = None


class PolicyDocument(Section):
    """The whole document."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    description: str = Field(default="", max_length=2000)
    defaults: Defaults
    categories: dict[CategoryName, CategoryLimits] = Field(default={})
    rules: list[Rule] = Field(default=[], max_length=500)
    prompt_model: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    learning: bool = False
    review: ReviewRules = ReviewRules()
    limits: LimitRules = LimitRules()
    standing: StandingRules = StandingRules()
    anomalies: AnomalyRules = AnomalyRules()
    notices: NoticeRules = NoticeRules()
    complaints: ComplaintRules = ComplaintRules()
    diversity: DiversityRules | None = None
    signature: SignatureRules = SignatureRules()
