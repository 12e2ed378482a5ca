"""The marks that are compared: ours, and invisible-watermark's two that need no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.watermark_attacks import Rgb
from services.provenance.watermark.codec import Codec

Bits = NDArray[np.uint8]

OURS = "Portcullis"
PEERS = {"invisible-watermark dwtDct": "dwtDct", "invisible-watermark dwtDctSvd": "dwtDctSvd"}
# What invisible-watermark is commonly used with.
_PEER_BITS = 32


class Embed(Protocol):
    """Writes bits of 0 and 1 into a copy of H × W × 3 RGB bytes."""

    def __call__(self, rgb: Rgb, bits: Bits) -> Rgb:
        """The marked copy."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`embed` takes so many bits as `length` tells; `read` gives them back, or None for no mark."""

    length: int
    embed: Embed
    read: Callable[[Rgb], Bits | None]


def peers_installed() -> bool:
    """Whether invisible-watermark is there, without importing it: it brings torch."""
    return find_spec("imwatermark") is not None


def marks() -> dict[str, Mark]:
    """All that are installed, ours first."""
    found = {OURS: _ours()}
    if peers_installed():
        found |= {name: _peer(method) for name, method in PEERS.items()}
    return found


def _ours() -> Mark:
    codec = Codec()

    def read(rgb: Rgb) -> Bits | None:
        found = codec.detect(rgb)
        return found["bits"] if found["ok"] else None

    return Mark(64, codec.embed, read)


def _peer(method: str) -> Mark:
    """It takes BGR, has no check of its own, and refuses pictures of fewer than 256 × 256 pixels."""
    from imwatermark import WatermarkDecoder, WatermarkEncoder

    def embed(rgb: Rgb, bits: Bits) -> Rgb:
        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", bits.tolist())
        return np.ascontiguousarray(encoder.encode(np.ascontiguousarray(rgb[..., ::-1]), method)[..., ::-1])

    def read(rgb: Rgb) -> Bits | None:
        if rgb.shape[0] * rgb.shape[1] < 256 * 256:
            return None
        found = WatermarkDecoder("bits", _PEER_BITS).decode(np.ascontiguousarray(rgb[..., ::-1]), method)
        return np.asarray(found, np.uint8)

    return Mark(_PEER_BITS, embed, read)
