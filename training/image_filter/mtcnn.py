"""Writes `models/faces/*.onnx`: MTCNN's three networks as facenet-pytorch carries them (MIT).

    pip download --no-deps facenet-pytorch==2.6.0 && unzip -d FOLDER facenet_pytorch-2.6.0-*.whl
    python -m training.image_filter.mtcnn FOLDER

Zhang et al., "Joint face detection and alignment using multi-task cascaded convolutional networks", 2016.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import torch

from training.manifest import record

FOLDER = Path("models/faces")
# name -> side of an example; the first takes pictures of any size
_SIDES = {"PNet": 24, "RNet": 24, "ONet": 48}


def _networks(package: Path) -> types.ModuleType:
    """The package's module of networks; it imports torchvision, which only its own detection needs."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.ops", "torchvision.ops.boxes"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.transforms"].functional = None  # type: ignore[attr-defined]
    sys.modules["torchvision.ops.boxes"].batched_nms = None  # type: ignore[attr-defined]
    for name in ("facenet_pytorch", "facenet_pytorch.models"):
        parent = types.ModuleType(name)
        parent.__path__ = [str(package.joinpath(*name.split(".")))]
        sys.modules[name] = parent
    return importlib.import_module("facenet_pytorch.models.mtcnn")


def main() -> None:
    """Convert the weights of the unpacked wheel that the first argument names."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    networks = _networks(Path(sys.argv[1]))
    for name, side in _SIDES.items():
        network = getattr(networks, name)().eval()
        any_size = {2: "h", 3: "w"} if name == "PNet" else {}
        outputs = ["move", "points", "face"] if name == "ONet" else ["move", "face"]
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side, side),),
            str(FOLDER / f"{name.lower()}.onnx"),
            input_names=["pictures"],
            output_names=outputs,
            dynamic_axes={"pictures": {0: "n", **any_size}, **{output: {0: "n", **any_size} for output in outputs}},
            dynamo=False,
        )
    record(*FOLDER.glob("*.onnx"))


if __name__ == "__main__":
    main()
