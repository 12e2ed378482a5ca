"""The one guard against a torchvision built for another torch; call it before transformers, diffusers, open_clip.

PyPI's torchvision for Linux is built for CUDA. Beside a CPU torch its C++ operators do not load, and its import fails
with "operator torchvision::nms does not exist", which takes open_clip and parts of transformers with it. Nothing here
calls those operators; that their schemas are declared is enough for the import to pass.
"""

from __future__ import annotations

import functools
from importlib import metadata

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def guard_torchvision() -> torch.library.Library | None:
    """Declares the missing operators, once per process; returns the library that holds them, None if none is needed."""
    if not _mismatched():
        return None
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    return library


def _mismatched() -> bool:
    """Whether torch is a CPU build and the installed torchvision is not."""
    try:
        vision = metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return False
    return torch.version.cuda is None and not vision.endswith("+cpu")
