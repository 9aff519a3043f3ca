"""The sections `data` and `preprocess` of `params.yaml`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from cct.params import Section, in_words
from cct.words import FIRST_WORD, MOST_WORDS

MIN_SIZE, MAX_SIZE = 8, 512  # pixels
Side = Annotated[int, Field(ge=MIN_SIZE, le=MAX_SIZE)]
DESCRIPTOR_SUFFIXES = (".yaml", ".yml")
Column = Annotated[str, Field(min_length=1, max_length=200)]


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by this name."""
    try:
        b"a".decode(name)
    except UnicodeError:  # half a character
        return True
    except (LookupError, ValueError):  # a name with a null character
        return False
    return True


def is_descriptor(source: str) -> bool:
    """Whether a `data.source` is a descriptor, by its ending."""
    return source.lower().endswith(DESCRIPTOR_SUFFIXES)


class DataParams(Section):
    """Which data set is used."""

    source: str = Field(
        min_length=1,
        max_length=1000,
        description="a folder, zip or tar of class folders; a table of paths or texts; or a data/sources/NAME.yaml",
    )


class PreprocessParams(Section):
    """Which examples train, validate and test, and how images or texts become arrays."""

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
        description="colour behind transparent pixels and padding",
        json_schema_extra=in_words("white, grey, black or '#rrggbb'"),
    )
    class_folder: Literal["top", "leaf"] | None = Field(
        description="which folder is the class in nested folders; null: nested folders are refused"
    )
    on_bad_image: Literal["fail", "skip"] = Field(
        description="what damaged images do: fail with a list of them, or skip them with a note in meta.json"
    )
    encoding: str = Field("auto", max_length=40, description="texts: encoding of the files; auto: its mark's, or UTF-8")
    text_column: Column | None = Field(None, description="texts: column of a table's texts; null: a usual name")
    label_column: Column | None = Field(None, description="texts: column of a table's labels; null: a usual name")
    tokens: Literal["words", "bytes"] = Field(
        "words", description="texts: what has a number; bytes need no vocabulary and know every language"
    )
    max_length: int = Field(64, ge=1, le=65_536, description="texts: words or bytes of an array; the rest is cut off")
    truncation: Literal["end", "start"] = Field("end", description="texts: what of longer texts is cut off")
    padding: Literal["max_length", "longest"] = Field(
        "max_length", description="texts: width of the arrays; longest: that of the longest training text, if smaller"
    )
    max_vocabulary: int = Field(
        100_000, ge=1, le=MOST_WORDS - FIRST_WORD, description="texts: most frequent words that get a number"
    )
    min_count: int = Field(1, ge=1, le=1_000_000, description="texts: times that a word must occur to get a number")
    embeddings: str | None = Field(
        None,
        pattern=r"^data/vectors/[^/]+$",
        description="texts: file of word vectors, as GloVe's; null: they are learned",
        json_schema_extra=in_words("data/vectors/NAME or null"),
    )
    extra_words: int = Field(
        20_000,
        ge=0,
        le=MOST_WORDS - FIRST_WORD,
        validate_default=True,  # with max_vocabulary there may be too many
        description="texts: words of embeddings, the first ones, that get a number besides those of the training texts",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if encoding != "auto" and not is_encoding(encoding):
            raise ValueError("no encoding has this name; write auto, utf-8, latin-1, cp1252 or another one of Python's")
        return encoding

    @field_validator("embeddings")
    @classmethod
    def _of_words(cls, embeddings: str | None, info: ValidationInfo) -> str | None:
        if embeddings and info.data.get("tokens") == "bytes":
            raise ValueError("has vectors of words, and tokens are bytes: set embeddings to null, or tokens to words")
        return embeddings

    @field_validator("extra_words")
    @classmethod
    def _not_too_many(cls, extra_words: int, info: ValidationInfo) -> int:
        if info.data.get("max_vocabulary", 0) + extra_words > MOST_WORDS - FIRST_WORD:
            raise ValueError(f"with max_vocabulary there are more than {MOST_WORDS - FIRST_WORD:,} words: lower one")
        return extra_words

    @field_validator("image_size", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, check: ValidatorFunctionWrapHandler) -> int | list[int] | None:
        try:
            return check(value)
        except ValidationError as error:
            raise ValueError(
                f"must be a side or [height, width] of integers from {MIN_SIZE} to {MAX_SIZE}, or null"
            ) from error
