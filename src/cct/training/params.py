"""The schema of `train` in `params.yaml`."""

import math
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.params import Section


class TrainParams(Section):
    """`train` in `params.yaml`."""

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(ge=1, le=65_536, description="images a step")
    optimizer: Literal["adamw", "muon"] = Field(description="muon: for the matrices; all else has adamw")
    learning_rate: float = Field(gt=0, le=10, description="peak learning rate")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(description="of the rate, after warm-up")
    min_learning_rate: float = Field(ge=0, le=10, description="the floor, where warm-up begins and schedules end")
    warmup_epochs: float = Field(ge=0, description="epochs of linear warm-up, below epochs")
    cooldown_epochs: float = Field(ge=0, description="last epochs, at the minimum")
    step_epochs: float = Field(gt=0, description="epochs from one step of schedule step to the next")
    step_factor: float = Field(gt=0, le=1, description="by which the rate is multiplied at each step")
    weight_decay: float = Field(ge=0, lt=1, description="decoupled, times the learning rate at every step")
    decay_norm_and_bias: bool = Field(
        description="true: decay norms, biases and positions too, as the Keras example does"
    )
    clip_norm: float | None = Field(gt=0, description="largest norm of all gradients together, or null")
    gradient_accumulation_steps: int = Field(
        ge=1, le=65_536, description="batches whose mean gradient makes one update"
    )
    ema_decay: float | None = Field(gt=0, lt=1, description="of the weights' moving average at each update, or null")
    label_smoothing: float = Field(ge=0, lt=1, description="from 0 to below 1")
    early_stopping_patience: int | None = Field(
        ge=1, description="epochs without a better validation accuracy, or null"
    )
    init_from: str | None = Field(
        pattern=r"^pretrained/[^/]+\.keras$",
        description="a model in pretrained/ to start from, or null for random weights",
    )
    seed: int = Field(ge=0, lt=2**32, description="of initial weights, order, augmentation and dropout")

    # Validators of fields, which see the valid fields above theirs: one of the model would be silent while any field is
    # wrong, and its mistakes would come to light one run later.
    @field_validator("min_learning_rate")
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
