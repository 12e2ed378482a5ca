"""A convolutional code of rate 1/4 and constraint length 9, with soft-decision Viterbi decoding.

Generators 463, 535, 733, 745 (octal): free distance 24, the best of this rate and length (Larsen, "Short
convolutional codes with maximal free distance for rates 1/2, 1/3, and 1/4", IEEE Trans. IT 19, 1973). Written here
because the Viterbi decoders on PyPI are hard-decision only, stop at K = 8, or need torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MEMORY = 8
_STATES = 1 << _MEMORY
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
RATE = len(_GENERATORS)

Bits = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _signs() -> Floats:
    """±1 of shape (2, states, 4): what the encoder sends when it reads bit b in a state; bit 0 is sent as +1."""
    register = (np.arange(2)[:, None] << _MEMORY) | np.arange(_STATES)[None, :]
    ones = np.stack([np.bitwise_count(register & g) & 1 for g in _GENERATORS], axis=-1)
    return (1.0 - 2.0 * ones).astype(np.float32)


_SIGNS = _signs()
# A state is the last eight bits, newest on top: t comes from 2·(t mod 128) or that plus one, having read t div 128.
_TARGETS = np.arange(_STATES)
_READ = _TARGETS >> (_MEMORY - 1)
_PARENTS = np.stack([(_TARGETS << 1) & (_STATES - 1), ((_TARGETS << 1) & (_STATES - 1)) | 1])
_BRANCHES = _SIGNS[_READ[None, :], _PARENTS]  # (2, states, 4)


def coded_length(message_bits: int) -> int:
    """How many coded bits a message of so many bits makes, the zero tail included."""
    return RATE * (message_bits + _MEMORY)


def encode(message: Bits) -> Floats:
    """Code a message of 0 and 1, shape (n,), into ±1 of shape (coded_length(n),)."""
    state = 0
    sent = []
    for bit in (*message.tolist(), *([0] * _MEMORY)):
        sent.append(_SIGNS[bit, state])
        state = (bit << (_MEMORY - 1)) | (state >> 1)
    return np.concatenate(sent)


def decode(soft: Floats) -> Bits:
    """The most likely message for soft values of shape (coded_length(n),), positive for +1; any common scale."""
    steps = soft.reshape(-1, RATE).astype(np.float32)
    gains = np.einsum("psr,tr->tps", _BRANCHES, steps)
    metric = np.full(_STATES, -np.inf, np.float32)
    metric[0] = 0.0
    choices = np.empty((len(steps), _STATES), np.bool_)
    for step, gain in enumerate(gains):
        first, second = metric[_PARENTS[0]] + gain[0], metric[_PARENTS[1]] + gain[1]
        choices[step] = second > first
        metric = np.maximum(first, second)
    state = 0
    message = np.empty(len(steps), np.uint8)
    for step in range(len(steps) - 1, -1, -1):
        message[step] = _READ[state]
        state = int(_PARENTS[int(choices[step, state]), state])
    return message[:-_MEMORY]
