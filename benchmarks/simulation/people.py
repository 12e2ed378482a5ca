"""Who uses the platform: honest people as people are, probers who adapt, rings that rotate their accounts.

Each is a generator that asks and is told the answer, so that what it does next depends on what it was told. Sketches
are drawn as those of the prompt filter lay for two dozen refused prompts: of 384 bits, rewordings of one prompt differ
in 40 in the median but one in three in 65–130, and different prompts in 120, three in a hundred in less than 64.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Class = Literal["honest", "prober", "ring"]
Verdict = Literal["allow", "review", "block", "refused"]

BITS = 384
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request at `at` (seconds) of `account`: what it is about, and whether it truly violates the rules."""

    at: float
    account: str
    sketch: np.ndarray
    category: str
    violates: bool
    doubt: float  # the chance that the filter takes it for a violation


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `standing` and its end (seconds) as the platform may see them. "refused": not even checked."""

    verdict: Verdict
    standing: str
    until: float


Life = Generator[Ask, Answer, None]


@dataclass(frozen=True, slots=True)
class World:
    """The numbers of the world; everything that a reader may doubt is here."""

    days: int = 30
    honest: int = 1000
    probers: int = 10
    rings: int = 3
    ring_size: int = 20
    recall: float = 0.85  # share of true violations that the filter stops
    held_share: float = 0.2  # of what the filter stops, the share that it holds for a person instead of refusing it
    requests_a_day: float = 8.0  # median of honest accounts on a day that they come
    spread: float = 1.1  # sigma of its logarithm
    false_positives: tuple[float, float] = (0.01, 0.03)
    edgy: float = 0.05  # share of accounts that draw what is near the line …
    edgy_times: float = 4.0  # … and are stopped so much more often
    touchy: float = 0.15  # share of an honest account's sessions on one theme that the filter minds …
    touchy_times: float = 5.0  # … where it is stopped so much more often than on the whole, …
    plain_times: float = 0.3  # … and so much less in all others
    clumsy_days: float = 3.0  # a new user's first days, with twice the false positives
    stubborn: float = 0.05  # share of honest accounts that try a refused prompt again and again
    family_share: float = 0.3
    school: int = 60
    ring_device: float = 0.85
    ring_payment: float = 0.7
    release_error: float = 0.03  # of cases in doubt, honest ones that a person upholds
    uphold_error: float = 0.05  # true violations that a person lets through
    account_error: float = 0.01  # honest accounts that a person who looks at the account suspends or keeps so
    account_miss: float = 0.05  # abusers whom that person lets go
    review_hours: tuple[float, float] = (1.0, 24.0)


@dataclass(slots=True)
class Minds:
    """What all lives share: the world, the chance, and where the topics of prompts lie."""

    world: World
    rng: np.random.Generator
    centre: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.centre = self.rng.random(BITS) < 0.5

    def topic(self) -> np.ndarray:
        """Another thing that the filter minds."""
        return self.centre ^ (self.rng.random(BITS) < self.rng.uniform(0.05, 0.35))

    def reworded(self, topic: np.ndarray) -> np.ndarray:
        """The same in other words, or in quite other words."""
        far = self.rng.uniform(0.1, 0.25) if self.rng.random() < 0.3 else self.rng.uniform(0.01, 0.07)
        return topic ^ (self.rng.random(BITS) < far)

    def varied(self, theme: np.ndarray) -> np.ndarray:
        """Another idea on one theme: further from it than a rewording, nearer than any other idea."""
        return theme ^ (self.rng.random(BITS) < self.rng.uniform(0.08, 0.2))

    def honest_category(self) -> str:
        """What an honest prompt is mistaken for."""
        kinds = ("violence", "sexual", "public_figure", "political", "health", "evasion", "deception", "illegal")
        return str(self.rng.choice(kinds, p=(0.25, 0.2, 0.2, 0.08, 0.07, 0.08, 0.06, 0.06)))

    def foul_category(self) -> str:
        """What an abuser is after."""
        return str(
            self.rng.choice(
                ("sexual", "violence.graphic", "hate", "public_figure", "deception"), p=(0.4, 0.2, 0.2, 0.12, 0.08)
            )
        )

    def waking(self, at: float, home: float) -> float:
        """The next time when somebody who lives `home` hours east is awake, drawn around the evening."""
        day = np.floor(at / DAY) * DAY
        return float(max(at, day + ((self.rng.normal(19, 4) - home) % 24) * HOUR))


def honest(minds: Minds, account: str, born: float) -> Life:
    """Comes on some days, in bursts; is refused by mistake, and then tries a little or a lot in other words."""
    world, rng = minds.world, minds.rng
    pace = float(rng.lognormal(np.log(world.requests_a_day), world.spread))
    comes = float(rng.beta(1.2, 2.0))
    home = float(rng.uniform(-10, 10))
    usual = float(rng.uniform(*world.false_positives)) * (world.edgy_times if rng.random() < world.edgy else 1)
    again = 0.8 if rng.random() < world.stubborn else 0.5
    end, day = world.days * DAY, np.floor(born / DAY)
    while day < world.days:
        if rng.random() > comes:
            day += 1
            continue
        at = max(born, minds.waking(day * DAY, home))
        left = int(rng.poisson(pace * rng.lognormal(0, 0.6)))
        while left > 0 and at < end:
            touchy = rng.random() < world.touchy
            theme, category = minds.topic(), minds.honest_category()
            clumsy = 2 if born > 0 and at - born < world.clumsy_days * DAY else 1
            doubt = clumsy * usual * (world.touchy_times if touchy else world.plain_times)
            for _ in range(min(left, 1 + int(rng.geometric(0.15)))):
                left -= 1
                topic = minds.varied(theme) if touchy else minds.topic()
                at, told = yield from _drawn(minds, Ask(at, account, topic, category, False, doubt), again)
                if told is not None:
                    at, left = max(at, told), 0
                    break
            at += float(rng.exponential(1.5 * HOUR))
        day = max(day + 1, np.floor(at / DAY))


def _drawn(minds: Minds, ask: Ask, again: float) -> Generator[Ask, Answer, tuple[float, float | None]]:
    """One idea, with the tries that follow a refusal; says when it was done, and when to come back if shut out."""
    rng = minds.rng
    topic, at = ask.sketch, ask.at
    while True:
        answer = yield ask
        at += float(rng.exponential(100)) + 20
        if answer.verdict == "refused":
            return at, answer.until
        if answer.verdict != "block" or rng.random() > again:
            return at, None
        # What was refused once is likely to be refused again.
        ask = replace(ask, at=at, sketch=minds.reworded(topic), doubt=0.5)


def prober(minds: Minds, account: str) -> Life:
    """Looks for words that get through: rewords what was refused, mixes in harmless prompts, slows down when warned."""
    rng, world = minds.rng, minds.world
    at = float(rng.uniform(0, 5 * DAY))
    mixing, patience = float(rng.uniform(0.2, 0.85)), int(rng.integers(2, 15))
    pause = float(np.exp(rng.uniform(np.log(60), np.log(12 * HOUR))))
    while at < world.days * DAY:
        topic, category = minds.topic(), minds.foul_category()
        for _ in range(patience):
            while rng.random() < mixing:
                answer = yield Ask(at, account, minds.topic(), "violence", False, 0.02)
                at += float(rng.exponential(120)) + 10
                if answer.verdict == "refused":
                    break
            answer = yield Ask(at, account, minds.reworded(topic), category, True, world.recall)
            at += float(rng.exponential(60)) + 10
            if answer.verdict == "refused":
                at = max(at, answer.until + float(rng.exponential(6 * HOUR)))
                break
            if answer.verdict == "block":
                at += float(rng.exponential(pause))
            if answer.standing != "good":
                pause = min(pause * 2, 12 * HOUR)
                if rng.random() < 0.5:
                    break
        at += float(rng.exponential(10 * HOUR))


def ring(minds: Minds, accounts: Mapping[str, float]) -> Life:
    """One operator with many accounts, each usable from its own day on; goes to the next when one is warned or shut.

    Fresh accounts first; then those whose pause is over.
    """
    rng, world = minds.rng, minds.world
    free = dict(accounts)
    fresh = list(accounts)
    at = float(rng.uniform(0, 3 * DAY))
    while at < world.days * DAY:
        ready = [account for account in free if free[account] <= at]
        if not ready:
            at = min(free.values(), default=np.inf)
            continue
        unused = [account for account in ready if account in fresh]
        account = str(rng.choice(unused or ready))
        fresh = [other for other in fresh if other != account]
        topic, category = minds.topic(), minds.foul_category()
        for _ in range(int(rng.integers(4, 25))):
            if rng.random() < 0.3:
                topic, category = minds.topic(), minds.foul_category()
            harmless = rng.random() < 0.35
            answer = yield Ask(
                at,
                account,
                minds.topic() if harmless else minds.reworded(topic),
                category,
                not harmless,
                0.02 if harmless else world.recall,
            )
            at += float(rng.exponential(180)) + 10
            if answer.verdict == "refused":
                free[account] = answer.until
                break
            if answer.standing != "good" and rng.random() < 0.5:
                free[account] = at + float(rng.exponential(2 * DAY))
                break
        at += float(rng.exponential(2 * HOUR))
