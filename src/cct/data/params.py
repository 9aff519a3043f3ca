"""The sections `data` and `preprocess` of `params.yaml`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from cct.params import Section

MIN_SIZE, MAX_SIZE = 8, 512  # pixels
Side = Annotated[int, Field(ge=MIN_SIZE, le=MAX_SIZE)]


def is_descriptor(source: str) -> bool:
    """Whether a `data.source` is a descriptor, by its ending."""
    return source.lower().endswith((".yaml", ".yml"))


class DataParams(Section):
    """Which data set is used."""

    source: str = Field(
        min_length=1,
        max_length=1000,
        description="a folder, zip or tar of class folders; a table of paths and labels; or a data/sources/NAME.yaml",
    )


class PreprocessParams(Section):
    """Which examples train, validate and test, and how images become arrays."""

    train_fraction: float = Field(
        gt=0,
        le=1,
        description="share of each class's training examples that is used; the test split stays whole",
    )
    validation_fraction: float = Field(
        gt=0, lt=1, description="share of each class's used examples held out for validation, unless the source has it"
    )
    test_fraction: float = Field(
        gt=0, lt=1, description="share of each class's examples held out for the test, unless the source has it"
    )
    seed: int = Field(ge=0, lt=2**32, description="seed that chooses the examples of all shares")
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        description="side, or [height, width], in pixels; null: the images' own size if it is one, otherwise 64"
    )
    resize: Literal["crop", "pad", "stretch"] = Field(
        description="how another aspect ratio fits: cut off at the sides, fill up with background, or distort"
    )
    channels: Literal["auto", "rgb", "grey"] = Field(description="auto: grey if no image has colours, otherwise rgb")
    background: str = Field(
        pattern=r"^(white|grey|black|#[0-9a-fA-F]{6})$",
        description="colour behind transparent pixels and padding: white, grey, black or '#rrggbb'",
    )
    class_folder: Literal["top", "leaf"] | None = Field(
        description="which folder is the class in nested folders; null: nested folders are refused"
    )
    on_bad_image: Literal["fail", "skip"] = Field(
        description="what damaged images do: fail with a list of them, or skip them with a note in meta.json"
    )

    @field_validator("image_size", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, check: ValidatorFunctionWrapHandler) -> int | list[int] | None:
        try:
            return check(value)
        except ValidationError as error:
            raise ValueError(
                f"must be a side or [height, width] of integers from {MIN_SIZE} to {MAX_SIZE}, or null"
            ) from error
