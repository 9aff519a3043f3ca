"""Random changes of training images. Each change depends on (seed, epoch, image) alone.

A plan says what happens to each image in an epoch. It is sampled for all images at once and applied batch by batch.
Only the partner of a mixed image depends on its batch. The code is NumPy on the host, so every backend gets the same
images.
"""

import functools
from typing import NamedTuple

import numpy as np

from cct.augment.augmentations import AUGMENTATIONS, Sampled
from cct.augment.params import AugmentParams
from cct.augment.streams import random_stream


class AugmentPlan(NamedTuple):
    """The changes of n images in one epoch: sampled arrays by the name of the enabled augmentation."""

    sampled: dict[str, Sampled]

    def take(self, indices: np.ndarray) -> "AugmentPlan":
        """The plan of some of the images."""
        taken = {}
        for name, arrays in self.sampled.items():
            shared = AUGMENTATIONS[name].shared
            taken[name] = {key: array if key in shared else array[indices] for key, array in arrays.items()}
        return AugmentPlan(taken)


def sample_plan(augment: AugmentParams, *, seed: int, epoch: int, shape: tuple[int, int, int, int]) -> AugmentPlan:
    """Sample the plan of images of `shape` (n, h, w, c). Entry i belongs to image i, at any place in the epoch."""
    streams = functools.partial(random_stream, seed, epoch)
    sampled = {name: entry.sample(augment, streams, shape, epoch) for name, entry in AUGMENTATIONS.items()}
    return AugmentPlan({name: arrays for name, arrays in sampled.items() if arrays})


def apply_plan(images_nhwc: np.ndarray, targets_nk: np.ndarray, plan: AugmentPlan) -> tuple[np.ndarray, np.ndarray]:
    """Apply a plan to its images, in the order of `AUGMENTATIONS`.

    Args:
        images_nhwc: uint8.
        targets_nk: float32, one-hot.
        plan: the plan of these images.

    Returns:
        Images of the same shape, and targets. An empty plan returns the given images. Targets of mixed images are soft.
    """
    images, targets = np.ascontiguousarray(images_nhwc), targets_nk  # turns a memory map into a plain array
    for name, sampled in plan.sampled.items():
        images, targets = AUGMENTATIONS[name].apply(images, targets, sampled)
    return images, targets
