"""The schema of `train` in `params.yaml`."""

import math
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.params import Section, in_words
from cct.training.class_weights import CLASS_WEIGHTS
from cct.training.optimizers import OPTIMIZERS
from cct.training.parts import FREEZE
from cct.training.schedules import SCHEDULES, default_warmup


class TrainParams(Section):
    """How the model is trained."""

    renamed: ClassVar[dict[str, str]] = {
        "minimum_learning_rate": "min_learning_rate",
        "decay_everything": "decay_norm_and_bias",
        "accumulation_steps": "gradient_accumulation_steps",
        "early_stopping": "early_stopping_patience",
    }

    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(ge=1, le=65_536, description="examples in each step")
    optimizer: Literal[*OPTIMIZERS] = Field(
        description="muon: Muon for the encoder's matrices, AdamW for the rest; wants 2 to 4 times the rate of adamw; "
        "muon_conv: Muon also for all convolutions of images except the first"
    )
    learning_rate: float = Field(ge=1e-12, le=10, description="highest learning rate, after the warm-up")
    schedule: Literal[*SCHEDULES] = Field(description="how the learning rate falls after the warm-up")
    min_learning_rate: float = Field(
        ge=0,
        le=10,
        description="rate where the warm-up begins and the schedule ends; at most learning_rate",
    )
    warmup_epochs: float | None = Field(
        ge=0, description="epochs of linear warm-up, below epochs; null: epochs / 15, at most 10"
    )
    cooldown_epochs: float = Field(ge=0, description="last epochs, which stay at min_learning_rate")
    step_epochs: float = Field(ge=0.01, description="step: epochs between two steps of the rate")
    step_factor: float = Field(gt=0, le=1, description="step: factor of the rate at each step")
    weight_decay: float = Field(
        ge=0, lt=1, description="decoupled weight decay; each step multiplies it by the learning rate"
    )
    decay_norm_and_bias: bool = Field(description="true: decay also norms, biases, positions and the class token")
    clip_norm: float | None = Field(ge=1e-6, description="largest norm of all gradients together; null: no limit")
    gradient_accumulation_steps: int = Field(
        ge=1, le=65_536, description="batches whose mean gradient makes one update"
    )
    ema_decay: float | None = Field(
        gt=0,
        le=0.999999,
        description="decay of a moving average of the weights, saved where it is better; null: none",
    )
    label_smoothing: float = Field(ge=0, le=0.99, description="label smoothing of the training loss")
    class_weights: Literal[*CLASS_WEIGHTS] = Field(
        description="class weights in the loss; balanced: equal sums; effective: milder above 1,000 examples of a class"
    )
    early_stopping_patience: int | None = Field(
        ge=1,
        description="epochs without a better validation accuracy, or loss on a tie, before training stops; null: never",
    )
    init_from: str | None = Field(
        pattern=r"^pretrained/[^/]+\.keras$",
        description="model to fine-tune, from cct import-model; null: random weights",
        json_schema_extra=in_words("pretrained/NAME.keras or null"),
    )
    freeze: Literal[*FREEZE] = Field(
        description="what is not trained of init_from; tokenizer: with positions; encoder: all but pooling and head"
    )
    layer_decay: float = Field(
        gt=0, le=1, description="factor of the learning rate from each layer to the one before it; 1.0: one rate"
    )
    seed: int = Field(ge=0, lt=2**32, description="seed of initial weights, order, augmentation and dropout")

    # These are validators of fields, not of the model. A field's validator runs even if other fields are invalid.
    # It sees the valid fields above its own. A validator of the model runs only if every field is valid.
    @field_validator("freeze")
    @classmethod
    def _of_trained_weights(cls, freeze: str, info: ValidationInfo) -> str:
        if freeze != "none" and info.data.get("init_from", "") is None:
            raise ValueError("would freeze random weights: name a trained model in train.init_from, or set it to none")
        return freeze

    @field_validator("min_learning_rate")
    @classmethod
    def _not_above_peak(cls, rate: float, info: ValidationInfo) -> float:
        if rate > (peak := info.data.get("learning_rate", rate)):
            raise ValueError(f"must be at most train.learning_rate = {peak}")
        return rate

    @field_validator("warmup_epochs")
    @classmethod
    def _below_epochs(cls, warmup: float | None, info: ValidationInfo) -> float | None:
        if warmup is not None and warmup >= (epochs := info.data.get("epochs", math.inf)):
            raise ValueError(f"must be below train.epochs = {epochs} (null: epochs / 15, at most 10)")
        return warmup

    @field_validator("cooldown_epochs")
    @classmethod
    def _below_the_rest(cls, cooldown: float, info: ValidationInfo) -> float:
        epochs, warmup = info.data.get("epochs", math.inf), info.data.get("warmup_epochs", 0)
        warmup = default_warmup(epochs) if warmup is None else warmup
        if cooldown and warmup + cooldown >= epochs:
            raise ValueError(f"must be below train.epochs - train.warmup_epochs = {epochs - warmup:g}")
        return cooldown
