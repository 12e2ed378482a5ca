"""What the mark carries: the payload's bits and a keyed check, so that noise is not taken for a mark of ours."""

from __future__ import annotations

from hashlib import blake2s

import numpy as np

from services.provenance.watermark import code
from services.provenance.watermark.code import Bits, Floats

CHECK_BITS = 24


class PayloadCode:
    """Codes payloads of one size under one key; `length` is the number of coded signs."""

    def __init__(self, nbits: int, key: bytes) -> None:
        self.nbits = nbits
        self.length = code.coded_length(nbits + CHECK_BITS)
        self._key = key

    def _check(self, bits: Bits) -> Bits:
        digest = blake2s(np.packbits(bits).tobytes(), digest_size=CHECK_BITS // 8, key=self._key, person=b"mark-chk")
        return np.unpackbits(np.frombuffer(digest.digest(), np.uint8))

    def encode(self, bits: Bits) -> Floats:
        """±1 of shape (length,) for `nbits` bits of 0 and 1."""
        return code.encode(np.concatenate([bits, self._check(bits)]))

    def decode(self, soft: Floats) -> tuple[Bits, bool]:
        """The most likely payload, and whether its check agrees; by chance it does once in 2²⁴."""
        message = code.decode(soft)
        bits, check = message[: self.nbits], message[self.nbits :]
        return bits, bool(np.array_equal(check, self._check(bits)))
