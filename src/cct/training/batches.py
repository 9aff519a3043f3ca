"""Batches of examples and one-hot targets. They do not depend on the kind of example."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import keras
import numpy as np

from cct.augment.streams import ORDER, random_stream

# Changes a batch: (indices of its examples in the split, inputs, targets) -> (inputs, targets).
Transform = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


Item = TypeVar("Item")


class Examples(NamedTuple):
    """A split: inputs and their labels, in memory or memory-mapped."""

    inputs: np.ndarray  # (n, ...)
    labels: np.ndarray  # (n,) integers


class EvalBatches(keras.utils.PyDataset):
    """The examples of a split in their order, with one-hot targets of float32."""

    def __init__(self, examples: Examples, *, batch_size: int, classes: int) -> None:
        super().__init__()
        self.examples, self.batch_size, self.targets = examples, batch_size, np.eye(classes, dtype="float32")

    def __len__(self) -> int:
        return math.ceil(len(self.examples.labels) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return np.asarray(self.examples.inputs[part]), self.targets[self.examples.labels[part]]


def no_transform(epoch: int) -> Transform:
    """Leave the batches of an epoch as they are."""
    return lambda indices, inputs, targets: (np.asarray(inputs), targets)


def train_batches(
    examples: Examples,
    *,
    batch_size: int,
    classes: int,
    seed: int,
    epochs: range,
    first_step: int = 0,
    transform_of: Callable[[int], Transform] = no_transform,
    weights_k: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Shuffled batches of all `epochs`, one after another. The last batch of each epoch may be smaller.

    Each batch depends on (seed, epoch, step) alone, so a backend may read ahead as far as it likes.

    Args:
        examples: the training split.
        batch_size: examples in a batch.
        classes: width of the one-hot targets.
        seed: seed of the order.
        epochs: epoch numbers, from 0.
        first_step: the step at which the first epoch begins.
        transform_of: from the number of an epoch to the transform of its batches.
        weights_k: the weight of each class in the loss, float32. None: all examples count the same.

    Yields:
        Inputs, and float32 targets of (batch, classes). With `weights_k` also the weight of each example, (batch,): a
        mixed example has its classes' weights in their shares.
    """
    count, targets = len(examples.labels), np.eye(classes, dtype="float32")
    for epoch in epochs:
        order = random_stream(seed, epoch, ORDER).permutation(count)
        transform = transform_of(epoch)
        first = first_step * batch_size if epoch == epochs.start else 0
        for start in range(first, count, batch_size):
            batch = order[start : start + batch_size]
            inputs, targets_bk = transform(batch, examples.inputs[batch], targets[examples.labels[batch]])
            yield (inputs, targets_bk) if weights_k is None else (inputs, targets_bk, targets_bk @ weights_k)


def read_ahead(batches: Iterator[Item], count: int = 2) -> Iterator[Item]:
    """Yield the same batches. Another thread makes the next ones while the current one is used."""
    end = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
        ahead = deque(thread.submit(next, batches, end) for _ in range(count))
        while (batch := ahead.popleft().result()) is not end:
            ahead.append(thread.submit(next, batches, end))
            yield batch
