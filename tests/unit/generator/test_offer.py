from __future__ import annotations

from services.generator.checkpoint import Checkpoint


def test_a_model_offers_what_its_card_and_tokenizer_say(tiny: Checkpoint) -> None:
    offer = tiny.offer()
    assert (offer.model, offer.sizes, offer.steps, offer.guidance) == (tiny.version, (64,), 4, 2.0)
    assert {"red", "circle"} <= set(offer.words)
