"""The learning rate as a function of the epoch."""

import math
from typing import Any

import numpy as np

from cct.training.params import TrainParams


def learning_rate(train: TrainParams, epoch, xp: Any = np):
    """The learning rate when `epoch` epochs (0 at the start, fractions within an epoch) have passed.

    Args:
        train: the recipe.
        epoch: a number or an array.
        xp: the module that computes, `numpy` or `keras.ops`.
    """
    low, high, warmup = train.min_learning_rate, train.learning_rate, train.warmup_epochs
    last = train.epochs - train.cooldown_epochs
    done = xp.clip((epoch - warmup) / (last - warmup), 0.0, 1.0)
    if train.schedule == "cosine":
        after = low + (high - low) * (1 + xp.cos(math.pi * done)) / 2
    elif train.schedule == "linear":
        after = high - (high - low) * done
    elif train.schedule == "step":
        after = xp.maximum(low, high * train.step_factor ** xp.floor(done * (last - warmup) / train.step_epochs))
    else:
        after = high
    if train.cooldown_epochs:
        after = xp.where(epoch < last, after, low)
    return xp.where(epoch < warmup, low + (high - low) * epoch / max(warmup, 1e-9), after)
