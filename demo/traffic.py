"""What a crowd asks of a house: mostly pictures, now and then what is against the rules, and an analyst who decides.

For whoever wants to see a house at work; what the answers say is not looked at.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx

from demo import inputs
from demo.running import RunningHouse
from portcullis import Client, PortcullisError, ReviewClient
from portcullis.v1.review_pb2 import ItemState, Resolution
from services.review.console.settings import PORT_OFFSET

Act = Callable[[str], object]
PEOPLE = 40
PROMPTS = (
    inputs.ALLOWED,
    "a green triangle below a white circle on a black background",
    "a yellow square left of a red triangle on a blue background",
)
PAGE_SECONDS = 10.0
ROUTING_SECONDS = 3.0


class Crowd:
    """Forty accounts and an analyst. `act` does what comes next by chance, `each` everything once."""

    def __init__(self, house: RunningHouse, client: Client, desk: ReviewClient, seed: int = 1) -> None:
        self._house = house
        self._client = client
        self._desk = desk
        self._chance = random.Random(seed)  # noqa: S311  # nothing is kept secret by it
        self._photo = inputs.harmless_photo()
        self._browser = httpx.Client(timeout=PAGE_SECONDS)
        self._acts: Sequence[tuple[int, Act]] = (
            (50, self._create),
            (15, self._check),
            (8, self._refused),
            (3, self._face),
            (5, self._vary),
            (4, self._pair),
            (5, self._held),
            (5, self._decide),
            (5, self._page),
        )

    def act(self) -> None:
        """One act, each as often as in the table above."""
        (chosen,) = self._chance.choices([act for _, act in self._acts], [weight for weight, _ in self._acts])
        self._do(chosen)

    def each(self) -> None:
        """Every act once, in the order of the table."""
        for _, act in self._acts:
            self._do(act)

    def go_on(self, seconds: float, acts_a_second: float) -> None:
        """Acts for so long, about so often, as fast as the house answers at most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self.act()
            time.sleep(max(0.0, self._chance.expovariate(acts_a_second) - (time.monotonic() - began)))

    def _do(self, act: Act) -> None:
        with suppress(PortcullisError):  # a limit, an account that must wait: people meet these too
            act(f"crowd-{self._chance.randrange(PEOPLE)}")

    def _create(self, account: str) -> None:
        list(self._client.create_images(self._chance.choice(PROMPTS), account=account, count=1))

    def _check(self, account: str) -> None:
        self._client.check_prompt(self._chance.choice((*PROMPTS, inputs.FOREIGN)), account=account)

    def _refused(self, account: str) -> None:
        prompt = self._chance.choice((inputs.BLOCKED, inputs.OBFUSCATED))
        list(self._client.create_images(prompt, account=f"{account}-rude", count=1))

    def _face(self, account: str) -> None:
        self._client.check_upload(inputs.face_photo(), account=account)

    def _vary(self, account: str) -> None:
        list(self._client.vary_images(self._photo, account=account, count=1))

    def _pair(self, account: str) -> None:
        photo = self._photo
        self._client.check_pair(inputs.HARMLESS_WORDS, photo, inputs.mask_of(photo), account=account)

    def _held(self, account: str) -> None:
        photo = inputs.doubtful_photo()
        list(self._client.edit_images(inputs.DOUBTFUL, photo, inputs.mask_of(photo), account=account, count=1))

    def _decide(self, _account: str) -> None:
        """Up to three cases, each with what waits beside it."""
        end = time.monotonic() + ROUTING_SECONDS
        while not any(self._desk.list_items(queue="", state=ItemState.ITEM_STATE_QUEUED)):
            if time.monotonic() > end:
                return
            time.sleep(0.2)
        for _ in range(3):
            claim = self._desk.claim_item("", queue="")
            others = [item.item_id for item in self._desk.get_item(claim.item.item_id).case_items]
            say = self._chance.choice((Resolution.RESOLUTION_RELEASE, Resolution.RESOLUTION_UPHOLD))
            self._desk.decide_item(claim.item.item_id, claim.claim_token, say, "", also=others)

    def _page(self, _account: str) -> None:
        self._browser.get(f"http://127.0.0.1:{self._house.port_base + PORT_OFFSET}/login")
