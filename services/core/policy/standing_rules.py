"""What a policy says about what conduct leads to: strikes, the ladder, tiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from services.core.policy.categories import parent
from services.core.policy.fields import CategoryName, Section

Mode = Literal["shadow", "enforce"]

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=24 * 3650, allow_inf_nan=False)]

# A policy's own weights are laid over these. What is not named weighs 1: hate, violence, sexual, self_harm, illegal, …
WEIGHTS: dict[str, float] = {
    "sexual.minors": 6.0,
    "harassment": 0.5,
    "shocking": 0.5,
    "deception": 0.5,
    "spam": 0.5,
    "lineage": 0.5,
    # What honest people run into without meaning harm.
    "political": 0.25,
    "health": 0.25,
    "public_figure": 0.25,
    "evasion": 0.25,
    "realistic_face": 0.0,
    "language": 0.0,
}


class Severity(Section):
    """How sure it is that there was a violation: what a category's weight is multiplied by."""

    blocked: Weight = 1.0  # a filter refused
    upheld: Weight = 2.0  # a person confirmed
    reported: Weight = 3.0  # a person confirmed what a third party reported


class Step(Section):
    """A step of the ladder, reached when the decayed weight of an account's strikes is at least `weight`.

    It holds for `hours` from the strike that reached it. In `shadow` it is recorded and counted, and nothing is done.
    """

    mode: Mode = "enforce"
    weight: Weight
    hours: Hours
    notice: str = Field(min_length=1, max_length=1000)


class Warned(Step):
    """The user is told."""

    weight: Weight = 3.0
    hours: Hours = 24.0 * 14
    notice: str = Field("Some of your requests broke the rules. If this goes on, your access will be limited.")


class Cooling(Step):
    """Nothing is accepted for a while."""

    weight: Weight = 5.0
    hours: Hours = 12.0
    notice: str = Field("Too many of your requests broke the rules. You can go on after a pause.")


class Held(Step):
    """Everything waits for a person before it leaves."""

    weight: Weight = 8.0
    hours: Hours = 24.0 * 7
    notice: str = Field("Many of your requests broke the rules. For now a person looks at your pictures first.")


class Suspended(Step):
    """Nothing is accepted, and a person looks at it. `lift` ends what nobody looked at in due time; `keep` does not."""

    weight: Weight = 12.0
    hours: Hours = 24.0 * 30
    unreviewed: Literal["lift", "keep"] = "keep"
    notice: str = Field("Your access is suspended, for many of your requests broke the rules. You can appeal.")


class Banned(Section):
    """From `weight` on, a person who upholds a suspension bans. No rule ever does alone."""

    mode: Mode = "enforce"
    weight: Weight = 30.0
    notice: str = Field("Your access has ended, for your requests kept breaking the rules.", max_length=1000)


class Ladder(Section):
    """From the mildest step to the hardest; each begins above the one before."""

    warned: Warned = Warned()
    cooling: Cooling = Field(Cooling(), validate_default=True)
    held: Held = Field(Held(), validate_default=True)
    suspended: Suspended = Field(Suspended(), validate_default=True)
    banned: Banned = Field(Banned(), validate_default=True)

    @field_validator("cooling", "held", "suspended", "banned", mode="after")
    @classmethod
    def _rises(cls, step: Step | Banned, info: ValidationInfo) -> Step | Banned:
        for name, milder in info.data.items():
            if step.weight <= milder.weight:
                raise ValueError(f"weight {step.weight:g} is not above that of {name}, {milder.weight:g}")
        return step

    @field_validator("warned", mode="after")
    @classmethod
    def _begins(cls, step: Warned) -> Warned:
        if step.weight == 0:
            raise ValueError("weight 0 would warn everybody: above 0")
        return step


class Trust(Section):
    """When a new account is trusted, and when one that was trusted is new again."""

    mode: Mode = "enforce"
    days: Annotated[float, Field(ge=0, le=3650, allow_inf_nan=False)] = 14.0  # since it was first seen
    allowed: int = Field(default=50, ge=0, le=1_000_000)  # creating requests that nothing was found wrong with
    strikes_below: Weight = 0.5  # decayed weight
    demote_from: Weight = 5.0  # decayed weight


class StandingRules(Section):
    """What conduct leads to. A strike weighs its category's weight × its severity, and loses half in each half-life.

    `jitter` is the share by which each account's thresholds and times differ from what is written here, at most.
    """

    weights: dict[CategoryName, Weight] = Field(default_factory=lambda: dict(WEIGHTS))
    severity: Severity = Severity()
    outputs: Share = 0.5  # for how much of it a picture counts that a person upheld: the user only asked for it
    half_life_days: Annotated[float, Field(ge=0.01, le=3650, allow_inf_nan=False)] = 30.0
    jitter: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.2
    ladder: Ladder = Ladder()
    trust: Trust = Trust()

    @field_validator("weights", mode="after")
    @classmethod
    def _laid_over(cls, weights: dict[str, float]) -> dict[str, float]:
        return {**WEIGHTS, **weights}

    def weight_of(self, category: str) -> float:
        """What a strike of this category weighs before its severity; a parent stands for its children."""
        name: str | None = category
        while name is not None:
            if name in self.weights:
                return self.weights[name]
            name = parent(name)
        return 1.0
