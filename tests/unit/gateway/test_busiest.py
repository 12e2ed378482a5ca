from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.busiest import HALF_LIFE_SECONDS, LEAST_REQUESTS, MOST_COUNTED, Busiest


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_account_that_makes_half_of_the_requests_has_half_of_them() -> None:
    busiest = Busiest()
    for number in range(200):
        busiest.see("loud" if number % 2 else number)

    assert busiest.share() == 0.5


def test_a_few_requests_say_nothing_of_a_share() -> None:
    busiest = Busiest()
    for _ in range(int(LEAST_REQUESTS) - 1):
        busiest.see("alone")

    assert busiest.share() == 0.0


def test_what_was_asked_long_ago_weighs_little() -> None:
    clock = Clock()
    busiest = Busiest(clock)
    for _ in range(100):
        busiest.see("then")
    clock.now = 3 * HALF_LIFE_SECONDS
    for number in range(100):
        busiest.see(number)

    assert busiest.share() == 12.5 / 112.5


@given(st.integers(1, 400), st.integers(MOST_COUNTED, 3 * MOST_COUNTED))
def test_a_crowd_that_is_too_large_to_count_hides_nobody(loud: int, crowd: int) -> None:
    busiest = Busiest()
    asked = ["loud"] * loud + list(range(crowd))
    for who in asked:
        busiest.see(who)

    assert loud / len(asked) - 1 / MOST_COUNTED <= busiest.share() <= max(loud, 1) / len(asked)
    assert len(busiest._counts) <= MOST_COUNTED
