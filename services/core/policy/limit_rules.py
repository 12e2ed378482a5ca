"""What a policy says about what may be used: rates, calls at once, pixels a day, monthly credits."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from services.core.limits.gcra import Bucket
from services.core.policy.fields import Section
from services.core.verdicts import Tier

Mode = Literal["shadow", "enforce"]
Per = Literal["account", "tenant", "reporter"]
Kind = Literal["rate", "concurrent", "pixels"]
Operation = Literal["check_prompt", "check_upload", "check_pair", "create", "edit", "variation", "report"]

DAY_SECONDS = 24 * 3600.0
CREATING: list[Operation] = ["create", "edit", "variation"]

LimitName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Limit(Section):
    """One limit. What it leaves out of `operations` and `tiers` it does not touch; in shadow it counts and lets pass.

    `rate`: `limit` calls in `window_seconds`, `burst` of them at once (all of them, if not said). `concurrent`: `limit`
    calls at once. `pixels`: `limit` pixels in any 24 hours.
    """

    kind: Kind
    per: Per = "account"
    limit: int = Field(ge=1, le=10**13)
    window_seconds: float | None = Field(default=None, ge=1, le=31 * DAY_SECONDS, allow_inf_nan=False)
    burst: int | None = Field(default=None, ge=1)
    operations: list[Operation] | None = Field(default=None, min_length=1)
    tiers: list[Tier] | None = Field(default=None, min_length=1)
    mode: Mode = "shadow"

    @field_validator("operations")
    @classmethod
    def _operations_of_whom(cls, operations: list[Operation] | None, info: ValidationInfo) -> list[Operation] | None:
        per, kind = info.data.get("per"), info.data.get("kind")
        if per == "reporter" and operations not in (None, ["report"]):
            raise ValueError("a reporter can only report: leave it out, or say [report]")
        if per == "account" and operations and "report" in operations:
            raise ValueError("a report has no account: use per: reporter, or per: tenant")
        if kind == "pixels" and operations and not set(operations) <= set(CREATING):
            raise ValueError("only create, edit and variation make pixels")
        return operations

    @field_validator("tiers")
    @classmethod
    def _tiers_of_accounts(cls, tiers: list[Tier] | None, info: ValidationInfo) -> list[Tier] | None:
        if tiers and info.data.get("per") == "reporter":
            raise ValueError("a reporter has no tier")
        return tiers

    @field_validator("burst")
    @classmethod
    def _burst_within_limit(cls, burst: int | None, info: ValidationInfo) -> int | None:
        if burst is not None and burst > info.data.get("limit", burst):
            raise ValueError(f"burst {burst} is above limit {info.data['limit']}")
        return burst

    @model_validator(mode="after")
    def _fields_of_kind(self) -> Limit:
        if self.kind == "rate" and self.window_seconds is None:
            raise ValueError("kind: rate needs window_seconds")
        if self.kind != "rate" and (self.window_seconds is not None or self.burst is not None):
            raise ValueError(f"window_seconds and burst are for kind: rate, not for {self.kind}")
        if self.kind == "pixels" and self.per == "reporter":
            raise ValueError("a reporter makes no pixels")
        return self

    @property
    def window(self) -> float:
        """Seconds in which all of it comes back."""
        return self.window_seconds or DAY_SECONDS

    @cached_property
    def bucket(self) -> Bucket | None:
        """The bucket that calls or pixels are taken from; None for calls at once."""
        if self.kind == "concurrent":
            return None
        return Bucket(self.window / self.limit, self.burst or self.limit)

    @property
    def enforced(self) -> bool:
        """Whether it refuses what is over it."""
        return self.mode == "enforce"

    def touches(self, operation: Operation, tier: Tier | None) -> bool:
        """Whether it holds for an operation of an account of this tier (None: of nobody's)."""
        if self.operations is not None and operation not in self.operations:
            return False
        return self.tiers is None or tier in self.tiers


class CreditRules(Section):
    """Pictures that a calendar month (UTC) gives: the month in which the account was made, and each later one."""

    first_month: int = Field(default=50, ge=0, le=1_000_000)
    monthly: int = Field(default=15, ge=0, le=1_000_000)
    mode: Mode = "shadow"

    def allowance(self, month: date, created: date) -> int:
        """What the month that begins with `month` gives an account that was made on `created`."""
        return self.first_month if month <= created else self.monthly


def _named() -> dict[str, Limit]:
    return {
        # Far above what a platform of some size sends: against a loop gone wild, and a stolen key.
        "tenant-calls": Limit(kind="rate", per="tenant", limit=30_000, window_seconds=60.0, mode="enforce"),
        "tenant-at-once": Limit(kind="concurrent", per="tenant", limit=1_000, mode="enforce"),
        # Ten a second, all day: no person does that.
        "account-calls": Limit(kind="rate", limit=600, window_seconds=60.0, mode="enforce"),
        "reports": Limit(kind="rate", per="reporter", limit=20, window_seconds=3600.0, mode="enforce"),
        # What people probably stay below; each platform finds its own numbers before it enforces them.
        "account-at-once": Limit(kind="concurrent", limit=4, operations=CREATING),
        "account-pictures": Limit(
            kind="rate", limit=50, window_seconds=3600.0, burst=20, operations=CREATING, tiers=["new"]
        ),
        "account-pixels": Limit(kind="pixels", limit=1_000_000_000, operations=CREATING),
    }


class LimitRules(Section):
    """What may be used: limits by name, which the errors and the metrics say, and credits."""

    named: dict[LimitName, Limit] = Field(default_factory=_named, max_length=50)
    credits: CreditRules | None = CreditRules()
