"""A tail-biting convolutional code of rate 1/7 and memory 12, with soft-decision Viterbi decoding around the circle.

Tail-biting (Ma and Wolf, "On tail biting convolutional codes", IEEE Trans. Commun. 34, 1986) spends no signs on a tail;
the decoder runs on past the start and end until its paths agree (Shao, Lin and Fossorier, "Two decoding algorithms for
tailbiting codes", IEEE Trans. Commun. 51, 2003). The generators are the best of a random search by frame errors.
Written here because the decoders on PyPI are hard-decision only, stop at memory 7, or need torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MEMORY = 12
_STATES = 1 << _MEMORY
_GENERATORS = (0o14205, 0o17747, 0o16043, 0o13753, 0o17711, 0o12111, 0o12035)
RATE = len(_GENERATORS)

Bits = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _signs() -> Floats:
    """±1 of shape (2, states, RATE): what the encoder sends when it reads bit b in a state; bit 0 is sent as +1."""
    register = (np.arange(2)[:, None] << _MEMORY) | np.arange(_STATES)[None, :]
    ones = np.stack([np.bitwise_count(register & g) & 1 for g in _GENERATORS], axis=-1)
    return (1.0 - 2.0 * ones).astype(np.float32)


_SIGNS = _signs()
# A state is the last bits, newest on top: t comes from 2·(t mod half) or that plus one, having read t div half.
_TARGETS = np.arange(_STATES)
_READ = _TARGETS >> (_MEMORY - 1)
_PARENTS = np.stack([(_TARGETS << 1) & (_STATES - 1), ((_TARGETS << 1) & (_STATES - 1)) | 1])
# What a branch sends, as the number of one of the 2^RATE patterns.
_PATTERNS = (((_SIGNS[_READ[None, :], _PARENTS] < 0) << np.arange(RATE)).sum(-1)).astype(np.intp)
_PATTERN_SIGNS = (1 - 2 * ((np.arange(1 << RATE)[:, None] >> np.arange(RATE)) & 1)).astype(np.float32)


def coded_length(message_bits: int) -> int:
    """How many coded signs a message of so many bits makes."""
    return RATE * message_bits


def encode(message: Bits) -> Floats:
    """Code a message of 0 and 1, shape (n,) with n ≥ 12, into ±1 of shape (coded_length(n),)."""
    state = 0
    for bit in message[-_MEMORY:].tolist():
        state = (bit << (_MEMORY - 1)) | (state >> 1)
    sent = []
    for bit in message.tolist():
        sent.append(_SIGNS[bit, state])
        state = (bit << (_MEMORY - 1)) | (state >> 1)
    return np.concatenate(sent)


def decode(soft: Floats) -> Bits:
    """The most likely message for soft values of shape (coded_length(n),), positive for +1; any common scale."""
    count = len(soft) // RATE
    gains = (soft.reshape(count, RATE).astype(np.float32) @ _PATTERN_SIGNS.T)[:, _PATTERNS]
    gains = gains.reshape(count, 2, 2, _STATES // 2)
    steps = np.tile(np.arange(count), 3)
    metric = np.zeros(_STATES, np.float32)
    choices = np.empty((len(steps), _STATES), np.bool_)
    for place, step in enumerate(steps):
        # Both halves of the states have the same two parents.
        first, second = gains[step] + metric.reshape(-1, 2).T[:, None]
        choices[place] = (second > first).ravel()
        metric = np.maximum(first, second).ravel()
    state = int(metric.argmax())
    message = np.empty(len(steps), np.uint8)
    for place in range(len(steps) - 1, -1, -1):
        message[place] = _READ[state]
        state = int(_PARENTS[int(choices[place, state]), state])
    return message[count : 2 * count]
