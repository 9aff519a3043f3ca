"""How a model is trained, in numbers: the schemas of `augment` and `train`, and the learning rate as a function."""

import math
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from cct.params import Section


class AugmentParams(Section):
    """`augment` in `params.yaml`."""

    crop_padding: int = Field(ge=0, le=64, description="pixels added on every side before a random crop, 0 to 64")
    resized_crop: float | None = Field(gt=0, le=1, description="smallest share of the area that is cropped and resized")
    horizontal_flip: bool = Field(description="flip every second picture, at random")
    policy: Literal["none", "randaugment", "autoaugment_cifar10", "autoaugment_svhn"] = Field(
        description="what else is done to each picture"
    )
    randaugment_layers: int = Field(ge=1, le=16, description="operations a picture, 1 to 16")
    randaugment_magnitude: float = Field(ge=0, le=10, description="from 0 to 10")
    randaugment_noise: float = Field(ge=0, le=10, description="standard deviation of the magnitude")
    randaugment_probability: float = Field(ge=0, le=1, description="that an operation is applied at all")
    erasing: float = Field(ge=0, le=1, description="probability that a rectangle of a picture becomes noise")
    mixup: float = Field(ge=0, le=100, description="alpha of MixUp's Beta distribution, 0 is off")
    cutmix: float = Field(ge=0, le=100, description="alpha of CutMix's Beta distribution, 0 is off")
    mix_probability: float = Field(ge=0, le=1, description="that a picture is mixed at all")
    mix_switch: float = Field(ge=0, le=1, description="share of CutMix where both are on")
    mix_epochs: int | None = Field(ge=0, description="epochs after which mixing stops, or null for never")

    @field_validator("resized_crop")
    @classmethod
    def _one_crop(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (padding := info.data.get("crop_padding", 0)):
            raise ValueError(f"there is one crop, not two: set this to null, or augment.crop_padding = {padding} to 0")
        return share


class TrainParams(Section):
    """`train` in `params.yaml`."""

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(ge=1, le=65_536, description="pictures a step")
    optimizer: Literal["adamw", "muon"] = Field(description="muon: for the matrices; all else has adamw")
    learning_rate: float = Field(gt=0, le=10, description="peak learning rate")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(description="of the rate, after warm-up")
    minimum_learning_rate: float = Field(ge=0, le=10, description="the floor, where warm-up begins and schedules end")
    warmup_epochs: float = Field(ge=0, description="epochs of linear warm-up, below epochs")
    cooldown_epochs: float = Field(ge=0, description="last epochs, at the minimum")
    step_epochs: float = Field(gt=0, description="epochs from one step of schedule step to the next")
    step_factor: float = Field(gt=0, le=1, description="by which the rate is multiplied at each step")
    weight_decay: float = Field(ge=0, lt=1, description="decoupled, times the learning rate at every step")
    decay_everything: bool = Field(description="true: decay norms, biases and positions too, as the Keras example does")
    clip_norm: float | None = Field(gt=0, description="largest norm of all gradients together, or null")
    accumulation_steps: int = Field(ge=1, le=65_536, description="batches whose mean gradient makes one update")
    ema_decay: float | None = Field(gt=0, lt=1, description="of the weights' moving average at each update, or null")
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

    @field_validator("cooldown_epochs")
    @classmethod
    def _below_the_rest(cls, cooldown: float, info: ValidationInfo) -> float:
        epochs, warmup = info.data.get("epochs", math.inf), info.data.get("warmup_epochs", 0)
        if cooldown and warmup + cooldown >= epochs:
            raise ValueError(f"must be below train.epochs - train.warmup_epochs = {epochs - warmup:g}")
        return cooldown


def learning_rate(train: TrainParams, epoch, xp: Any = np):
    """The learning rate when `epoch` epochs (0 at the start, fractions within an epoch) have passed.

    Args:
        train: the recipe.
        epoch: a number or an array.
        xp: the module that computes, `numpy` or `keras.ops`.
    """
    low, high, warmup = train.minimum_learning_rate, train.learning_rate, train.warmup_epochs
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
