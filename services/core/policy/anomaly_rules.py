"""What a policy says about what is unusual enough to act on: five rules, each in shadow until it is enforced."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.core.policy.fields import Section

Mode = Literal["shadow", "enforce"]
Action = Literal["flag", "cool", "hold"]

Hours = Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Times = Annotated[float, Field(gt=1, le=1000, allow_inf_nan=False)]


class AnomalyRule(Section):
    """`shadow` records what would have happened; `enforce` does it. A rule that fired is quiet for `quiet_hours`."""

    mode: Mode = "shadow"
    quiet_hours: Hours = 24.0


class AccountRule(AnomalyRule):
    """What a firing does to the account beside telling people.

    Nothing (`flag`), a wait (`cool`), or that a person looks at everything before it leaves (`hold`).
    """

    action: Action = "flag"


class VelocityRule(AccountRule):
    """More requests in an hour than `per_hour`, or than `times` what this account is used to (from `least` on)."""

    per_hour: Count = 300
    times: Times = 5.0
    least: Count = 60
    learn_hours: Count = 12  # hours with requests before an account has habits


class BlockRatioRule(AnomalyRule):
    """Refusals that outgrow an account's own past (CUSUM at `alarm`, for odds that grew by `odds`).

    The usual share of refusals begins at `usual` and is learned over about `memory` requests; what lies above `ceiling`
    is never usual.
    """

    usual: Share = 0.03
    ceiling: Share = 0.08
    odds: Times = 6.0
    alarm: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 7.0
    memory: Annotated[int, Field(ge=20, le=1_000_000)] = 300

    @model_validator(mode="after")
    def _below(self) -> BlockRatioRule:
        if self.usual > self.ceiling:
            raise ValueError(f"usual {self.usual:g} is above ceiling {self.ceiling:g}")
        return self


class AccountBlockRatioRule(BlockRatioRule, AccountRule):
    """The same for an account; only it can be acted on."""


class TenantBlockRatioRule(BlockRatioRule):
    """The same for all accounts of a platform together: something for people to look at."""

    alarm: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 30.0
    odds: Times = 2.0
    memory: Annotated[int, Field(ge=20, le=1_000_000)] = 20_000


class ProbingRule(AccountRule):
    """Refused prompts that are near-duplicates of refused prompts: beyond `patience` tries at each, `tries` in all.

    Near are sketches of which at most `near_bits` of 384 differ; tries count half after `half_life_hours`.
    """

    near_bits: Annotated[int, Field(ge=1, le=150)] = 64
    patience: Annotated[int, Field(ge=1, le=100)] = 3
    tries: Annotated[int, Field(ge=1, le=1000)] = 5
    half_life_hours: Hours = 72.0
    action: Action = "hold"


class RingRule(AccountRule):
    """Accounts that share a device or a means of payment: their strikes count together.

    What more than `shared_by` accounts share (a school's device, a bank's token) says nothing. `strikes` are their
    weights together, from at least `members` of them.
    """

    shared_by: Annotated[int, Field(ge=2, le=1000)] = 25
    size: Annotated[int, Field(ge=2, le=1000)] = 100
    members: Annotated[int, Field(ge=2, le=1000)] = 3
    strikes: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 8.0
    action: Action = "hold"


class SpuriousRule(AnomalyRule):
    """Outputs of a model that the screen held back though all that was asked for had been allowed: above `share` of at
    least `outputs`, counted half after `half_life_hours`. It is about a model, never an account.
    """

    share: Share = 0.02
    outputs: Count = 200
    half_life_hours: Hours = 24.0


class AnomalyRules(Section):
    """What is unusual enough to act on."""

    velocity: VelocityRule = VelocityRule()
    block_ratio: AccountBlockRatioRule = AccountBlockRatioRule()
    tenant_block_ratio: TenantBlockRatioRule = TenantBlockRatioRule()
    probing: ProbingRule = ProbingRule()
    rings: RingRule = RingRule()
    spurious: SpuriousRule = SpuriousRule()
