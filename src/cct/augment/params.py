"""The schema of `augment` in `params.yaml`."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.params import Section


class AugmentParams(Section):
    """`augment` in `params.yaml`."""

    crop_padding: int = Field(ge=0, le=64, description="pixels added on every side before a random crop, 0 to 64")
    resized_crop: float | None = Field(gt=0, le=1, description="smallest share of the area that is cropped and resized")
    horizontal_flip: bool = Field(description="flip every second image, at random")
    policy: Literal["none", "randaugment", "autoaugment_cifar10", "autoaugment_svhn"] = Field(
        description="what else is done to each image"
    )
    randaugment_num_ops: int = Field(ge=1, le=16, description="operations a image, 1 to 16")
    randaugment_magnitude: float = Field(ge=0, le=10, description="from 0 to 10")
    randaugment_magnitude_std: float = Field(ge=0, le=10, description="standard deviation of the magnitude")
    randaugment_prob: float = Field(ge=0, le=1, description="that an operation is applied at all")
    random_erasing_prob: float = Field(ge=0, le=1, description="probability that a rectangle of a image becomes noise")
    mixup_alpha: float = Field(ge=0, le=100, description="alpha of MixUp's Beta distribution, 0 is off")
    cutmix_alpha: float = Field(ge=0, le=100, description="alpha of CutMix's Beta distribution, 0 is off")
    mix_prob: float = Field(ge=0, le=1, description="that a image is mixed at all")
    mix_switch_prob: float = Field(ge=0, le=1, description="share of CutMix where both are on")
    mix_epochs: int | None = Field(ge=0, description="epochs after which mixing stops, or null for never")

    @field_validator("resized_crop")
    @classmethod
    def _one_crop(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (padding := info.data.get("crop_padding", 0)):
            raise ValueError(f"there is one crop, not two: set this to null, or augment.crop_padding = {padding} to 0")
        return share
