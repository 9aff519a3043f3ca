"""How a model is trained, in numbers: the schemas of `augment` and `train`, and the learning rate as a function."""

import math
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from cct.params import Section


class AugmentParams(Section):
    """`augment` in `params.yaml`."""

    crop_padding: int = Field(ge=0, le=64, description="pixels added on every side before a random crop, 0 to 64")
    horizontal_flip: bool = Field(description="flip every second picture, at random")


class TrainParams(Section):
    """`train` in `params.yaml`."""

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(ge=1, le=65_536, description="pictures a step")
    learning_rate: float = Field(gt=0, le=10, description="peak learning rate")
    schedule: Literal["constant", "cosine"] = Field(description="after warm-up: constant, or cosine to the minimum")
    minimum_learning_rate: float = Field(ge=0, le=10, description="where cosine ends and warm-up begins")
    warmup_epochs: float = Field(ge=0, description="epochs of linear warm-up, below epochs")
    weight_decay: float = Field(ge=0, lt=1, description="decoupled (AdamW), times the learning rate at every step")
    decay_everything: bool = Field(description="true: decay norms, biases and positions too, as the Keras example does")
    label_smoothing: float = Field(ge=0, lt=1, description="from 0 to below 1")
    early_stopping: int | None = Field(ge=1, description="epochs without a better validation accuracy, or null")
    init_from: str | None = Field(
        pattern=r"^pretrained/[^/]+\.keras$",
        description="a model in pretrained/ to start from, or null for random weights",
    )
    seed: int = Field(ge=0, lt=2**32, description="of initial weights, order, augmentation and dropout")

    # Validators of fields, which see the valid fields above theirs: one of the model would be silent while any field is
    # wrong, and its mistakes would come to light one run later.
    @field_validator("minimum_learning_rate")
    @classmethod
    def _not_above_peak(cls, rate: float, info: ValidationInfo) -> float:
        if rate > (peak := info.data.get("learning_rate", rate)):
            raise ValueError(f"must not be above train.learning_rate = {peak}")
        return rate

    @field_validator("warmup_epochs")
    @classmethod
    def _below_epochs(cls, warmup: float, info: ValidationInfo) -> float:
        if warmup >= (epochs := info.data.get("epochs", math.inf)):
            raise ValueError(f"must be below train.epochs = {epochs}")
        return warmup


def learning_rate(train: TrainParams, epoch, xp: Any = np):
    """The learning rate when `epoch` epochs (0 at the start, fractions within an epoch) have passed.

    Args:
        train: the recipe.
        epoch: a number or an array.
        xp: the module that computes, `numpy` or `keras.ops`.
    """
    low, high, warmup = train.minimum_learning_rate, train.learning_rate, train.warmup_epochs
    done = xp.clip((epoch - warmup) / (train.epochs - warmup), 0.0, 1.0)
    after = high if train.schedule == "constant" else low + (high - low) * (1 + xp.cos(math.pi * done)) / 2
    return xp.where(epoch < warmup, low + (high - low) * epoch / max(warmup, 1e-9), after)
