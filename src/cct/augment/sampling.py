"""Random changes of training images, each a function of (seed, epoch, image) and of nothing else.

The plan says what happens to each image in an epoch. It is sampled for all images at once and applied batch by batch.
Only the partner of a mixed image depends on its batch. All of it is NumPy on the host, so it is the same on every
backend.
"""

import functools
from typing import NamedTuple

import numpy as np

from cct.augment.augmentations import AUGMENTATIONS, Sampled
from cct.augment.params import AugmentParams
from cct.augment.streams import random_stream


class AugmentPlan(NamedTuple):
    """What happens to each of n images in one epoch: sampled arrays by the augmentation that is on."""

    sampled: dict[str, Sampled]

    def take(self, indices: np.ndarray) -> "AugmentPlan":
        """The plan of some of the images."""
        taken = {}
        for name, arrays in self.sampled.items():
            shared = AUGMENTATIONS[name].shared
            taken[name] = {key: array if key in shared else array[indices] for key, array in arrays.items()}
        return AugmentPlan(taken)


def sample_plan(augment: AugmentParams, *, seed: int, epoch: int, shape: tuple[int, int, int, int]) -> AugmentPlan:
    """Sample what happens to images of `shape` (n, h, w, c). Entry i is image i's, wherever it is in the epoch."""
    streams = functools.partial(random_stream, seed, epoch)
    sampled = {name: entry.sample(augment, streams, shape, epoch) for name, entry in AUGMENTATIONS.items()}
    return AugmentPlan({name: arrays for name, arrays in sampled.items() if arrays})


def apply_plan(images_nhwc: np.ndarray, targets_nk: np.ndarray, plan: AugmentPlan) -> tuple[np.ndarray, np.ndarray]:
    """Apply a plan to its images, in the order of `AUGMENTATIONS`.

    Args:
        images_nhwc: uint8.
        targets_nk: float32, one-hot.
        plan: of these images.

    Returns:
        Images of the same shape, the given ones where the plan is empty, and targets, soft where images are mixed.
    """
    images, targets = np.ascontiguousarray(images_nhwc), targets_nk  # of a memory map it makes a plain array
    for name, sampled in plan.sampled.items():
        images, targets = AUGMENTATIONS[name].apply(images, targets, sampled)
    return images, targets
