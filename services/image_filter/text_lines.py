"""Finds and reads single lines of text: PP-OCRv4's networks out of `rapidocr-onnxruntime` (Apache-2.0).

(Li et al., "PP-OCRv3: More attempts for the improvement of ultra lightweight OCR system", 2022; Liao et al., "Real-time
scene text detection with differentiable binarization", 2020.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.artifacts import file_sha256
from services.core.errors import ConfigurationError
from services.core.imaging import Rgb
from services.core.signals import ModelVersion

# Not an extra: it asks for opencv-python, of which one kind alone may be installed.
INSTALL = "pip install --no-deps rapidocr-onnxruntime==1.4.4"
PACKAGE = "rapidocr_onnxruntime"
_DETECTOR, _READER = "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"
_TURNED = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
_THREADS = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}  # requests run side by side
LINE = 48  # height at which a line is read
_WIDEST = 40 * LINE
_TALL = 1.5  # as the package has it

Quad = NDArray[np.float32]


class Read(NamedTuple):
    """What a line says, and the mean probability of its letters."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Networks:
    """The package's own classes, each with its network."""

    detect: Any
    read: Any
    turn: Any


def load_networks() -> tuple[Networks, ModelVersion]:
    """The networks; ConfigurationError where the package is not installed."""
    if find_spec(PACKAGE) is None:
        raise ConfigurationError(
            f"nothing that reads text in pictures is installed: run {INSTALL}", reason="NO_TEXT_READER"
        )
    from rapidocr_onnxruntime.ch_ppocr_cls import TextClassifier
    from rapidocr_onnxruntime.ch_ppocr_det import TextDetector
    from rapidocr_onnxruntime.ch_ppocr_rec import TextRecognizer

    folder = Path(str(files(PACKAGE))) / "models"

    def settings(model: str, **values: object) -> dict[str, object]:
        return {**_THREADS, "model_path": str(folder / model), **values}

    networks = Networks(  # line by line: together they are padded to the longest, and take longer
        # Pictures come at the right size already: 32 is the least that the network takes.
        TextDetector(
            settings(
                _DETECTOR, limit_side_len=32, limit_type="min", box_thresh=0.4, unclip_ratio=1.6, max_candidates=300
            )
        ),
        TextRecognizer(settings(_READER, rec_img_shape=[3, LINE, LINE], rec_batch_num=1)),
        TextClassifier(
            settings(_TURNED, cls_image_shape=[3, 48, 192], cls_batch_num=16, cls_thresh=0.9, label_list=["0", "180"])
        ),
    )
    return networks, ModelVersion("pp-ocr", f"4-{version('rapidocr-onnxruntime')}", file_sha256(folder / _READER))


class Lines:
    """Lines of text; thread-safe, since nothing is kept between calls."""

    def __init__(self) -> None:
        self._networks, self.model = load_networks()

    def detect(self, picture: Rgb) -> list[Quad]:
        """The lines in (h, w, 3): four corners (4, 2) each, in pixels of it, so that the first edge is a long one."""
        boxes, _ = self._networks.detect(picture[..., ::-1])
        return [_laid(np.asarray(box, np.float32)) for box in boxes] if boxes is not None else []

    def upside_down(self, lines: Sequence[Rgb]) -> list[bool]:
        """Which of these lines stand on their head."""
        if not lines:
            return []
        _, turned, _ = self._networks.turn([line[..., ::-1] for line in lines])
        return [label == "180" and score > 0.9 for label, score in turned]

    def read(self, lines: Sequence[Rgb]) -> list[Read]:
        """What upright lines say."""
        if not lines:
            return []
        found, _ = self._networks.read([line[..., ::-1] for line in lines])
        return [Read(str(text), float(confidence)) for text, confidence in found]


def sides(quad: Quad) -> tuple[float, float]:
    """Length of a line along its first edge, and its height."""
    wide = np.linalg.norm(quad[0] - quad[1]) + np.linalg.norm(quad[3] - quad[2])
    high = np.linalg.norm(quad[0] - quad[3]) + np.linalg.norm(quad[1] - quad[2])
    return float(wide) / 2, max(float(high) / 2, 1.0)


def columns(quad: Quad) -> int:
    """How wide a line is once it is cut out, in pixels."""
    wide, high = sides(quad)
    return int(np.clip(round(LINE * wide / high), LINE // 2, _WIDEST))


def _laid(quad: Quad) -> Quad:
    """A tall line begins at its upper right corner and is read downwards."""
    wide, high = sides(quad)
    return np.roll(quad, -1, axis=0) if high > _TALL * wide else quad


def cut(picture: Rgb, quad: Quad) -> Rgb:
    """A line out of the picture, (48, w, 3), its first corner at the upper left."""
    _, high = sides(quad)
    left, top = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 2
    part, corners = picture[top:bottom, left:right], quad - np.array([left, top], np.float32)
    # Shrunk by area first: a warp alone would pick single pixels out of large letters.
    if (factor := high / LINE) > 2:
        size = (max(1, round(part.shape[1] / factor)), max(1, round(part.shape[0] / factor)))
        corners = np.asarray(corners * np.array(size) / np.array(part.shape[1::-1]), np.float32)
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    length = columns(quad)
    ends = np.array([[0, 0], [length, 0], [length, LINE], [0, LINE]], np.float32)
    warp = cv2.getPerspectiveTransform(np.ascontiguousarray(corners, np.float32), ends)
    return np.asarray(
        cv2.warpPerspective(part, warp, (length, LINE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
