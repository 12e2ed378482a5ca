"""The process that runs NudeNet (AGPL-3.0); the house speaks to it over a socket and never imports it.

Started by `nudenet`: `python -m services.image_filter.detectors.nudenet_process FD`. Reads the package's network only.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from services.core.apart import Message, serve
from services.core.artifacts import file_sha256
from services.image_filter.detectors.nudenet_looks import Network
from services.image_filter.onnx_session import open_session


def main() -> None:
    """Load the network that the package carries and answer batches of pictures."""
    cv2.setNumThreads(1)
    weights = Path(str(resources.files("nudenet") / "320n.onnx"))
    network = load(weights)

    def answer(head: dict[str, Any], bodies: Sequence[bytes]) -> Message:
        pictures = [
            np.frombuffer(body, np.uint8).reshape(height, width, 3)
            for body, (height, width) in zip(bodies, head["shapes"], strict=True)
        ]
        return {"found": network.parts(pictures)}, []

    serve(answer, hello={"version": version("nudenet"), "digest": file_sha256(weights)})


def load(weights: Path) -> Network:
    """The network, on one thread: more only wait for each other (45 ms of CPU time a picture against 22)."""
    session = open_session(weights)
    names: dict[int, str] = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
    return Network(session, [names[at] for at in range(len(names))])


if __name__ == "__main__":
    main()
