"""The learning rate of every step: linear warm-up, then a schedule by name, then a cool-down.

To add a schedule, write a function as below and an entry in `SCHEDULES`.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cct.training.params import TrainParams


# Each takes the config, the steps since the warm-up (n,), the number of steps between warm-up and cool-down, and the
# steps in an epoch. It returns the rates (n,).
def _constant(train: "TrainParams", since_n: np.ndarray, total: int, steps_per_epoch: int) -> np.ndarray:
    return np.full(len(since_n), train.learning_rate)


def _cosine(train: "TrainParams", since_n: np.ndarray, total: int, steps_per_epoch: int) -> np.ndarray:
    low, high = train.min_learning_rate, train.learning_rate
    return low + (high - low) * (1 + np.cos(math.pi * since_n / total)) / 2


def _linear(train: "TrainParams", since_n: np.ndarray, total: int, steps_per_epoch: int) -> np.ndarray:
    return train.learning_rate - (train.learning_rate - train.min_learning_rate) * since_n / total


def _step(train: "TrainParams", since_n: np.ndarray, total: int, steps_per_epoch: int) -> np.ndarray:
    period = train.step_epochs * steps_per_epoch
    # This compares whole numbers, because a quotient of floats may be just below the exact whole number.
    starts = np.ceil(np.round(period * np.arange(1, int(total / period) + 2), 6))
    passed_n = np.searchsorted(starts, since_n, side="right")
    return np.maximum(train.min_learning_rate, train.learning_rate * float(train.step_factor) ** passed_n)


SCHEDULES = {"constant": _constant, "cosine": _cosine, "linear": _linear, "step": _step}


def default_warmup(epochs: float) -> float:
    """The default number of warm-up epochs: a fifteenth of all, at most 10."""
    return min(10, epochs / 15)


def learning_rates(train: "TrainParams", *, steps_per_epoch: int) -> np.ndarray:
    """The learning rate of each step of a training: (epochs * steps_per_epoch,), float32.

    Warm-up and cool-down are rounded to whole steps.
    """
    low, high = train.min_learning_rate, train.learning_rate
    given = train.warmup_epochs
    warmup = round((default_warmup(train.epochs) if given is None else given) * steps_per_epoch)
    last = round((train.epochs - train.cooldown_epochs) * steps_per_epoch)
    total = max(1, last - warmup)
    step_n = np.arange(train.epochs * steps_per_epoch)
    rate_n = SCHEDULES[train.schedule](train, np.clip(step_n - warmup, 0, total), total, steps_per_epoch)
    rate_n = np.where(step_n < last, rate_n, low) if train.cooldown_epochs else rate_n
    return np.where(step_n < warmup, low + (high - low) * step_n / max(1, warmup), rate_n).astype("float32")
