"""The learning rate as a function of the epoch: linear warm-up, then a schedule by name, then a cool-down.

To add a schedule, write a function as below and an entry in `SCHEDULES`.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cct.training.params import TrainParams


# Each takes the config, the share that is done (0..1) of the epochs between warm-up and cool-down, the number of those
# epochs, and the module that computes (`numpy` or `keras.ops`), and returns the rate.
def _constant(train: "TrainParams", done, epochs: float, xp: Any):
    return train.learning_rate


def _cosine(train: "TrainParams", done, epochs: float, xp: Any):
    low, high = train.min_learning_rate, train.learning_rate
    return low + (high - low) * (1 + xp.cos(math.pi * done)) / 2


def _linear(train: "TrainParams", done, epochs: float, xp: Any):
    return train.learning_rate - (train.learning_rate - train.min_learning_rate) * done


def _step(train: "TrainParams", done, epochs: float, xp: Any):
    steps = xp.floor(done * epochs / train.step_epochs)
    return xp.maximum(train.min_learning_rate, train.learning_rate * train.step_factor**steps)


SCHEDULES = {"constant": _constant, "cosine": _cosine, "linear": _linear, "step": _step}


def learning_rate(train: "TrainParams", epoch, xp: Any = np):
    """The learning rate after `epoch` epochs (0 at the start, fractions within an epoch).

    Args:
        train: the config.
        epoch: a number or an array.
        xp: the module that computes, `numpy` or `keras.ops`.
    """
    low, high, warmup = train.min_learning_rate, train.learning_rate, train.warmup_epochs
    last = train.epochs - train.cooldown_epochs
    done = xp.clip((epoch - warmup) / (last - warmup), 0.0, 1.0)
    rate = SCHEDULES[train.schedule](train, done, last - warmup, xp)
    if train.cooldown_epochs:
        rate = xp.where(epoch < last, rate, low)
    return xp.where(epoch < warmup, low + (high - low) * epoch / max(warmup, 1e-9), rate)
