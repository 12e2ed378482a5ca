"""A head that learns from labelled pairs what neither half says: here, whether a text names what is in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.combo_filter.encoder import OpenClipEncoder, load_encoder
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256
from services.core.errors import ConfigurationError
from services.generator.pixels import to_bytes
from training.combo.head import Pair, train
from training.generator.captions import plain_caption
from training.generator.pool import draw_pool
from training.generator.render import render
from training.generator.scenes import Scene, draw_held_out

SAME = "concept.own.same_thing"
FOLDER = "models/scenes-clip"
ENCODER = {
    "joint_encoder": f"{FOLDER}/open_clip_model.safetensors",
    "joint_encoder_config": f"{FOLDER}/open_clip_config.json",
    "joint_encoder_tokenizer": f"{FOLDER}/tokenizer.json",
}


def load(**more: str) -> OpenClipEncoder:
    encoder = load_encoder(ComboFilterSettings.model_validate({**ENCODER, **more}))
    assert encoder is not None
    return encoder


def labelled(scenes: Sequence[Scene]) -> list[Pair]:
    """Each picture once with its own words and once with those of the next one."""
    pairs = []
    for scene, other in zip(scenes, [*scenes[1:], scenes[0]], strict=True):
        picture = to_bytes(render([scene], 128)[0])[0].numpy()
        pairs += [
            Pair(plain_caption(scene), picture, frozenset({SAME})),
            Pair(plain_caption(other), picture, frozenset()),
        ]
    return pairs


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "head.npz"
    train(load(), labelled(draw_pool(np.random.default_rng(3), 320)[::4]), path)
    return path


def test_it_tells_pairs_that_it_never_saw(head: Path) -> None:
    encoder = load(joint_head=str(head), joint_head_sha256=file_sha256(head))
    rng = np.random.default_rng(4)
    pairs = labelled([draw_held_out(rng, 1 + at % 2) for at in range(20)])

    told = [{s.category: s.score for s in encoder.measure(pair.picture, pair.prompt)}[SAME] >= 0.5 for pair in pairs]

    assert np.mean([said is (SAME in pair.concepts) for said, pair in zip(told, pairs, strict=True)]) >= 0.9


def test_without_words_there_is_nothing_to_tell(head: Path) -> None:
    encoder = load(joint_head=str(head), joint_head_sha256=file_sha256(head))
    scores = encoder.measure(np.zeros((64, 64, 3), np.uint8), "")

    assert SAME not in {signal.category for signal in scores}


@pytest.mark.parametrize(
    ("concepts", "width", "message"),
    [([SAME], 10, "made for another encoder"), (["concept.same"], 384, r"does not know concept\.same")],
)
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, concepts: list[str], width: int, message: str) -> None:
    path = tmp_path / "head.npz"
    np.savez(path, concepts=np.array(concepts), weight=np.zeros((1, width), np.float32), bias=np.zeros(1, np.float32))

    with pytest.raises(ConfigurationError, match=message):
        load(joint_head=str(path), joint_head_sha256=file_sha256(path))
