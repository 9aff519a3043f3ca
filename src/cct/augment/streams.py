"""Random numbers for each purpose and epoch."""

from collections.abc import Callable

import numpy as np

# Each purpose has its own stream of random numbers, so that a new purpose does not change the others.
ORDER, CROP, FLIP, BOX, BOX_PLACE, OPERATION, APPLIED, MAGNITUDE, SIGN, SUBPOLICY = range(10)
ERASED, HOLE, HOLE_PLACE, NOISE, NOISE_START, MIXED, CUT, MIXUP, CUTMIX, CUTMIX_PLACE = range(10, 20)
DROPPED_WORDS = 20
Streams = Callable[[int], np.random.Generator]  # from a purpose to its generator


def random_stream(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose in one epoch (0-based)."""
    return np.random.default_rng([seed, epoch, purpose])
