"""The schema of `augment` in `params.yaml`."""

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from cct.augment.ops import PADDING_MODES
from cct.augment.policies import POLICIES
from cct.params import Section


class AugmentParams(Section):
    """How training examples are changed at random. Each example of each epoch gets its own changes."""

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

    crop_padding: int = Field(ge=0, le=64, description="pixels added on every side before a random crop; 0: no crop")
    crop_padding_mode: Literal[PADDING_MODES] = Field(
        "constant", description="the added pixels are black (constant), or the image mirrored at its edge (reflect)"
    )
    resized_crop: float | None = Field(
        gt=0,
        le=1,
        description="smallest area of a random crop, which is then resized to the whole image; null: off",
    )
    horizontal_flip: bool = Field(description="true: flip each image with probability 0.5")
    policy: Literal[*POLICIES] = Field(description="published policy of operations on each image")
    randaugment_num_ops: int = Field(ge=1, le=16, description="randaugment: operations for each image")
    randaugment_magnitude: float = Field(ge=0, le=10, description="randaugment: strength of the operations")
    randaugment_magnitude_std: float = Field(ge=0, le=10, description="randaugment: standard deviation of the strength")
    randaugment_prob: float = Field(ge=0, le=1, description="randaugment: probability of each operation")
    random_erasing_prob: float = Field(
        ge=0, le=1, description="probability that 2 to 33 % of an image, a rectangle, become noise"
    )
    mixup_alpha: float = Field(
        ge=0,
        le=100,
        description="alpha of MixUp's Beta distribution, of images or words' vectors; 0: off; the paper has 0.8",
    )
    cutmix_alpha: float = Field(
        ge=0, le=100, description="alpha of CutMix's Beta distribution; 0: off; the paper has 1.0"
    )
    mix_prob: float = Field(
        ge=0, le=1, description="probability that an image or text is mixed with another of its batch"
    )
    mix_switch_prob: float = Field(ge=0, le=1, description="probability of CutMix where MixUp and CutMix are both on")
    mix_epochs: int | None = Field(ge=0, description="number of first epochs with mixing; null: all epochs")
    word_dropout: float = Field(
        0.0, ge=0, le=0.9, description="texts: probability that a word becomes the unknown word"
    )

    @field_validator("resized_crop")
    @classmethod
    def _one_crop(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (padding := info.data.get("crop_padding", 0)):
            raise ValueError(f"only one crop is possible: set this to null, or augment.crop_padding = {padding} to 0")
        return share
