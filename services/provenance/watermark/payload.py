"""What the mark carries: the payload's bits and a keyed check, and which variant of the tile they ride on."""

from __future__ import annotations

from hashlib import blake2s

import numpy as np

from services.provenance.watermark import code
from services.provenance.watermark.code import Bits, Floats
from services.provenance.watermark.tile import VARIANTS

CHECK_BITS = 8


class PayloadCode:
    """Codes payloads of one size under one key; `length` is the number of coded signs."""

    def __init__(self, nbits: int, key: bytes) -> None:
        self.nbits = nbits
        self.length = code.coded_length(nbits + CHECK_BITS)
        self.key = key

    def _digest(self, bits: Bits, size: int, purpose: bytes) -> bytes:
        return blake2s(np.packbits(bits).tobytes(), digest_size=size, key=self.key, person=purpose).digest()

    def _check(self, bits: Bits) -> Bits:
        return np.unpackbits(np.frombuffer(self._digest(bits, CHECK_BITS // 8, b"mark-chk"), np.uint8))

    def variant(self, bits: Bits) -> int:
        """The one variant of the tile that may carry these bits."""
        return int.from_bytes(self._digest(bits, 4, b"mark-var")) % VARIANTS

    def encode(self, bits: Bits) -> Floats:
        """±1 of shape (length,) for `nbits` bits of 0 and 1."""
        return code.encode(np.concatenate([bits, self._check(bits)]))

    def decode(self, soft: Floats, variant: int) -> Bits | None:
        """The most likely payload; None where its check or its variant disagrees, as by chance all but once in 2¹⁸."""
        message = code.decode(soft)
        bits, check = message[: self.nbits], message[self.nbits :]
        agrees = np.array_equal(check, self._check(bits)) and variant == self.variant(bits)
        return bits if agrees else None
