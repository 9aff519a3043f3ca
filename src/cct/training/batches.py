"""Batches of images and one-hot targets."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np

from cct.augment.params import AugmentParams
from cct.augment.sampling import apply_plan, sample_plan
from cct.augment.streams import ORDER, random_stream


class Split(NamedTuple):
    """Images and their labels, in memory or memory-mapped."""

    images: np.ndarray  # (n, h, w, c) uint8
    labels: np.ndarray  # (n,) integers


class EvalBatches(keras.utils.PyDataset):
    """The images of a split in their order, with one-hot targets."""

    def __init__(self, split: Split, *, batch_size: int, classes: int) -> None:
        super().__init__()
        self.split, self.batch_size, self.targets = split, batch_size, np.eye(classes, dtype="float32")

    def __len__(self) -> int:
        return math.ceil(len(self.split.labels) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return np.asarray(self.split.images[part]), self.targets[self.split.labels[part]]


def train_batches(
    split: Split,
    *,
    batch_size: int,
    classes: int,
    augment: AugmentParams,
    seed: int,
    epochs: range,
    first_step: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled, augmented batches of all `epochs`, one after another; the last of each epoch may be smaller.

    One stream for all epochs, each batch a function of (seed, epoch, step): how far a backend reads ahead is no matter.
    The first epoch begins at `first_step`.
    """
    count, targets = len(split.labels), np.eye(classes, dtype="float32")
    for epoch in epochs:
        order = random_stream(seed, epoch, ORDER).permutation(count)
        draws = sample_plan(augment, seed=seed, epoch=epoch, shape=split.images.shape)
        first = first_step * batch_size if epoch == epochs.start else 0
        for start in range(first, count, batch_size):
            chosen = order[start : start + batch_size]
            yield apply_plan(split.images[chosen], targets[split.labels[chosen]], draws.take(chosen))
