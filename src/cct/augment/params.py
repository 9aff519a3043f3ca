"""The schema of `augment` in `params.yaml`."""

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.augment.policies import POLICIES
from cct.params import Section


class AugmentParams(Section):
    """`augment` in `params.yaml`."""

    renamed: ClassVar[dict[str, str]] = {
        "randaugment_layers": "randaugment_num_ops",
        "randaugment_noise": "randaugment_magnitude_std",
        "randaugment_probability": "randaugment_prob",
        "erasing": "random_erasing_prob",
        "mixup": "mixup_alpha",
        "cutmix": "cutmix_alpha",
        "mix_probability": "mix_prob",
        "mix_switch": "mix_switch_prob",
    }

    crop_padding: int = Field(
        ge=0, le=64, description="black pixels on every side before a random crop, 0 to 64; 0 crops nothing"
    )
    resized_crop: float | None = Field(
        gt=0, le=1, description="instead: crop at least this share of the area and resize it to the whole; null: off"
    )
    horizontal_flip: bool = Field(description="true: flip every second image, at random")
    policy: Literal[*POLICIES] = Field(description="operations of a published policy")
    randaugment_num_ops: int = Field(ge=1, le=16, description="for randaugment: operations an image, 1 to 16")
    randaugment_magnitude: float = Field(ge=0, le=10, description="for randaugment: their strength, 0 to 10")
    randaugment_magnitude_std: float = Field(
        ge=0, le=10, description="for randaugment: standard deviation of the strength, 0 to 10"
    )
    randaugment_prob: float = Field(ge=0, le=1, description="for randaugment: probability of each operation, 0 to 1")
    random_erasing_prob: float = Field(
        ge=0, le=1, description="probability that a rectangle of an image becomes noise, 0 to 1; 0: off"
    )
    mixup_alpha: float = Field(ge=0, le=100, description="alpha of MixUp, 0 to 100; 0: off; the paper: 0.8")
    cutmix_alpha: float = Field(ge=0, le=100, description="alpha of CutMix, 0 to 100; 0: off; the paper: 1.0")
    mix_prob: float = Field(ge=0, le=1, description="probability that an image is mixed with another, 0 to 1")
    mix_switch_prob: float = Field(ge=0, le=1, description="share of CutMix where MixUp is on too, 0 to 1")
    mix_epochs: int | None = Field(ge=0, description="epochs with mixing, from the first; null: all")

    @field_validator("resized_crop")
    @classmethod
    def _one_crop(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (padding := info.data.get("crop_padding", 0)):
            raise ValueError(f"there is one crop, not two: set this to null, or augment.crop_padding = {padding} to 0")
        return share
