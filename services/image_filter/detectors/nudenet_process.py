"""The process that runs NudeNet (AGPL-3.0); the house speaks to it over a socket and never imports it.

Started by `nudenet`: `python -m services.image_filter.detectors.nudenet_process FD`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import nudenet
import numpy as np

from services.core.apart import Message, serve
from services.core.artifacts import file_sha256


def main() -> None:
    """Load the model that the package carries and answer batches of pictures."""
    cv2.setNumThreads(1)
    detector = nudenet.NudeDetector()

    def answer(head: dict[str, Any], bodies: Sequence[bytes]) -> Message:
        pictures = [
            np.frombuffer(body, np.uint8).reshape(height, width, 3)
            for body, (height, width) in zip(bodies, head["shapes"], strict=True)
        ]
        # Given RGB, the package's two swaps cancel out and the model sees RGB: measured, it finds more than with files,
        # which OpenCV reads as BGR.
        return {"found": [detector.detect(picture) for picture in pictures]}, []

    weights = Path(nudenet.__file__).parent / "320n.onnx"
    serve(answer, hello={"version": version("nudenet"), "digest": file_sha256(weights)})


if __name__ == "__main__":
    main()
