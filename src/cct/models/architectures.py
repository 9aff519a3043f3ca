"""The fields of a model: those of its name, and those that a user changes. `cct.models.names` has the names.

Nothing here imports Keras.
"""

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from cct.errors import CCTError
from cct.models.fields import CONV_CHANNELS, Architecture, Count, Kernel, Rate, TextArchitecture, Width, hidden_units
from cct.models.names import CUSTOM, IMAGES, MODEL_NAMES, MODELS, TEXTS, TOKENIZERS, WORD_FIELDS, task_of_model
from cct.params import Section, in_words


class ModelError(CCTError, ValueError):
    """A model cannot take the inputs that the data have."""


class ModelParams(Section):
    """The model. Null leaves a field as the name says; a value changes it. The name custom needs every field."""

    renamed: ClassVar[dict[str, str]] = {
        "layers": "num_layers",
        "heads": "num_heads",
        "width": "embed_dim",
        "head_width": "head_dim",
        "mlp": "mlp_output",
        "patch": "patch_size",
        "convolutions": "num_conv_layers",
        "kernel": "kernel_size",
        "convolution_width": "conv_channels",
        "convolution_bias": "conv_bias",
        "positions": "positional_embedding",
        "epsilon": "layer_norm_epsilon",
        "num_pool_layers": "pool_after",
    }

    name: str = Field(
        description="a name that cct models lists, such as cct_7_3x1, cvt_7_4, keras_example or text_cct_4_2; or custom"
    )
    num_layers: Count | None = Field(None, validate_default=True, description="encoder layers")
    num_heads: Count | None = Field(
        None, validate_default=True, description="attention heads; must divide embed_dim unless head_dim is given"
    )
    embed_dim: Width | None = Field(None, validate_default=True, description="width of a token")
    word_dim: Width | None = Field(
        None, description="texts: width of a word's vector; null: that of preprocess.embeddings, otherwise 300"
    )
    head_dim: Width | None = Field(
        None, validate_default=True, description="width of one head, otherwise embed_dim / num_heads"
    )
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] | None = Field(
        None, validate_default=True, description="hidden width of the MLP divided by embed_dim"
    )
    mlp_output: Literal["linear", "gelu"] | None = Field(
        None, description="activation of the MLP's last layer; the Keras example has gelu"
    )
    norm: Literal["stream", "pre"] | None = Field(
        None, description="where the second norm stands: on the residual stream (authors' code) or before the MLP"
    )
    qkv_bias: bool | None = Field(None, description="whether the projection to query, key and value has biases")
    tokenizer: Literal["conv", "patch", "none"] | None = Field(
        None, validate_default=True, description="how inputs become tokens: none makes each word of a text one"
    )
    patch_size: Count | None = Field(
        None, validate_default=True, description="patch: side of a square patch in pixels, or words of a text"
    )
    num_conv_layers: Count | None = Field(
        None, validate_default=True, description="conv of images: number of convolution blocks"
    )
    pool_after: Annotated[list[Count], Field(min_length=1)] | None = Field(
        None,
        description="conv of images: the convolutions with max-pooling, which halves both sides; null: all",
        json_schema_extra=in_words("list of numbers from 1 to num_conv_layers"),
    )
    kernel_size: Kernel | None = Field(
        None, validate_default=True, description="conv: size of the kernels, odd for images; the stride follows from it"
    )
    conv_channels: Width | list[Width] | None = Field(
        None,
        description="conv of images: channels of all convolutions but the last",
        json_schema_extra=in_words("integer, 1 to 65,536, or a list of one for each, or null"),
    )
    conv_bias: bool | None = Field(None, description="conv: whether the convolutions have biases")
    conv_norm: Literal["none", "batch"] | None = Field(
        None, description="conv of images: norm after each convolution's ReLU and pooling; batch: batch normalization"
    )
    flip_invariant: bool | None = Field(
        None, description="conv of images: whether the model sees no difference between an image and its mirror image"
    )
    pooling: Literal["sequence", "class_token", "mean"] | None = Field(
        None, description="how tokens become one vector; sequence pooling has learned weights"
    )
    positional_embedding: Literal["learnable", "sinusoidal", "none"] | None = Field(
        None, description="position embeddings"
    )
    dropout: Rate | None = Field(None, description="dropout rate after positions, attention and MLP layers")
    attention_dropout: Rate | None = Field(None, description="dropout rate of attention weights")
    stochastic_depth: Rate | None = Field(
        None, description="rate at the last layer; it rises linearly from 0 at the first"
    )
    layer_norm_epsilon: Annotated[float, Field(ge=1e-12, le=1)] | None = Field(
        None, description="epsilon of the layer norms"
    )
    freeze_embeddings: bool | None = Field(
        None, description="texts: whether training leaves the vectors of preprocess.embeddings alone"
    )

    @field_validator("conv_channels", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, check: ValidatorFunctionWrapHandler) -> int | list[int] | None:
        try:
            return check(value)
        except ValidationError as error:
            raise ValueError("must be an integer from 1 to 65,536, or a list of such integers, or null") from error

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MODEL_NAMES:
            near = difflib.get_close_matches(name, MODEL_NAMES, n=3, cutoff=0.4)
            nearest = f"nearest: {', '.join(near)}; " if near else ""
            raise ValueError(f"unknown model name; {nearest}all: {', '.join(MODEL_NAMES)}")
        return name

    @field_validator("num_layers", "num_heads", "embed_dim", "mlp_ratio", "tokenizer")
    @classmethod
    def _complete(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and (name := info.data.get("name")) in CUSTOM:
            raise ValueError(f"{info.field_name} must be given, because the name is {name}")
        return value

    @field_validator("tokenizer")
    @classmethod
    def _of_the_task(cls, tokenizer: str | None, info: ValidationInfo) -> str | None:
        if (name := info.data.get("name")) is None:
            return tokenizer
        known = TOKENIZERS[task := task_of_model(name)]
        if tokenizer not in (None, *known):
            raise ValueError(f"{name} takes images, so it must be one of {', '.join(known)}, or null")
        given = info.data | {"tokenizer": tokenizer}
        # Tokens that are words may be as wide as the vectors of a file: then `_resolved` checks.
        later = given.get("word_dim") is None and _fields(given)["tokenizer"] == "none"
        if task == TEXTS and not later and (problem := _misfit_of_width(given)):
            raise ValueError(problem)
        return tokenizer

    @field_validator(*WORD_FIELDS)
    @classmethod
    def _of_texts(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.data.get("name")
        if value is not None and name is not None and task_of_model(name) != TEXTS:
            raise ValueError(f"has no use: {name} takes images")
        return value

    @field_validator(
        "patch_size",
        "num_conv_layers",
        "pool_after",
        "kernel_size",
        "conv_channels",
        "conv_bias",
        "conv_norm",
        "flip_invariant",
    )
    @classmethod
    def _of_use(cls, value: Any, info: ValidationInfo) -> Any:
        if not {"name", "tokenizer"} <= info.data.keys():
            return value
        fields = _fields(info.data)
        task, tokenizer, field = task_of_model(info.data["name"]), fields["tokenizer"], info.field_name
        needed, options = TOKENIZERS[task][tokenizer]
        if value is None:
            if field in needed and field not in fields:
                raise ValueError(f"{field} must be given, because the tokenizer is {tokenizer}")
        elif field not in (*needed, *options):
            raise ValueError(f"has no use: the tokenizer of {info.data['name']} is {tokenizer}{OF_TASK[task]}")
        elif field == "kernel_size" and task == IMAGES and value % 2 == 0:
            raise ValueError("must be odd")
        elif field in CONVOLUTION_CHECKS and "num_conv_layers" in info.data:
            CONVOLUTION_CHECKS[field](value, fields["num_conv_layers"])
        elif field == "flip_invariant" and value and info.data.keys() >= FLIP_NEEDS:
            _check_symmetry(fields)
        return value

    # As in TrainParams: a field's validator sees the valid fields above its own, and reports beside other mistakes.
    # In a model of texts the tokenizer decides on the width of a token, so `_of_the_task` makes these two checks.
    @field_validator("head_dim")
    @classmethod
    def _heads_divide(cls, head_dim: int | None, info: ValidationInfo) -> int | None:
        valid = _of_images(info.data) and {"num_heads", "embed_dim"} <= info.data.keys()
        if valid and (problem := _undivided(_fields(info.data | {"head_dim": head_dim}))):
            raise ValueError(problem)
        return head_dim

    @field_validator("mlp_ratio")
    @classmethod
    def _hidden_units(cls, mlp_ratio: float | None, info: ValidationInfo) -> float | None:
        valid = _of_images(info.data) and "embed_dim" in info.data
        if valid and (problem := _without_units(_fields(info.data | {"mlp_ratio": mlp_ratio}))):
            raise ValueError(problem)
        return mlp_ratio


def _of_images(given: dict[str, Any]) -> bool:
    return "name" in given and task_of_model(given["name"]) == IMAGES


def _check_symmetry(fields: dict[str, Any]) -> None:
    channels = fields.get("conv_channels", CONV_CHANNELS)
    widths = [*(channels if isinstance(channels, list) else [channels]), fields["embed_dim"]]
    if odd := [width for width in widths if width % 2]:
        raise ValueError(f"needs even conv_channels and embed_dim, and one is {odd[0]}")
    if _stride(size := fields["kernel_size"]) > 1:
        raise ValueError(f"needs convolutions of stride 1: a kernel_size of 1, 3 or 5, not {size}")
    if fields.get("conv_bias"):
        raise ValueError("has no biases: set conv_bias to false, or null")


def _check_pool_after(pool_after: list[int], count: int) -> None:
    if pool_after != sorted({*pool_after} & {*range(1, count + 1)}):
        raise ValueError(
            f"must be null for all convolutions, or rising numbers from 1 to {count}: num_conv_layers is {count}"
        )


def _check_conv_channels(conv_channels: int | list[int], count: int) -> None:
    if count == 1:
        raise ValueError("has no use: the only convolution is as wide as a token")
    if isinstance(conv_channels, list) and len(conv_channels) != count - 1:
        raise ValueError(
            f"must be one number, or a list of {count - 1}: num_conv_layers is {count}, and the last convolution is as "
            "wide as a token"
        )


# The check of each field that may be a list about the convolutions.
CONVOLUTION_CHECKS = {"pool_after": _check_pool_after, "conv_channels": _check_conv_channels}
FLIP_NEEDS = {"embed_dim", "kernel_size", "conv_channels", "conv_bias"}  # valid fields that `_check_symmetry` reads
OF_TASK = {IMAGES: "", TEXTS: ", for texts"}
MISFITS = {
    IMAGES: "takes images, and the data are texts: choose one of cct models --texts, such as text_cct_2_2",
    TEXTS: "takes texts, and the data are images: choose one of cct models, such as cct_2_3x2",
}


def resolve_architecture(params: ModelParams) -> Architecture:
    """The architecture of a model of images that `params` names, with its overrides.

    Raises:
        ModelError: it is a model of texts.
    """
    fields = _resolved(params, IMAGES)
    if fields["tokenizer"] == "conv":
        count, channels = fields["num_conv_layers"], fields.get("conv_channels", CONV_CHANNELS)
        fields["stride"] = _stride(fields["kernel_size"])
        fields.setdefault("pool_after", range(1, count + 1))
        fields["conv_channels"] = channels if isinstance(channels, list) else [channels] * (count - 1)
    return Architecture(**fields)


def resolve_text_architecture(params: ModelParams, *, word_dim: int | None = None) -> TextArchitecture:
    """The architecture of a model of texts that `params` names, with its overrides.

    Args:
        params: the section `model`.
        word_dim: width of the pretrained vectors, which counts if `params` has no width.

    Raises:
        ModelError: it is a model of images; or a field does not fit the width of the pretrained vectors.
    """
    if word_dim is not None and params.word_dim is None:
        params = params.model_copy(update={"word_dim": word_dim})
    fields = _resolved(params, TEXTS)
    if fields["tokenizer"] == "conv":
        # The authors' rules.
        fields |= {"stride": _stride(fields["kernel_size"]), "padding": max(1, fields["kernel_size"] // 2)}
    return TextArchitecture(**{name: value for name, value in fields.items() if name != "freeze_embeddings"})


def _stride(kernel_size: int) -> int:
    """The authors' rule: 1 up to a kernel of 5, 2 for 7."""
    return max(1, kernel_size // 2 - 1)


def require_model_of(task: str, name: str) -> None:
    """Refuse a model of another task.

    Raises:
        ModelError: `name` is one.
    """
    if (own := task_of_model(name)) != task:
        raise ModelError(f"model.name = {name} {MISFITS[own]}")


def _resolved(params: ModelParams, task: str) -> dict[str, Any]:
    require_model_of(task, params.name)
    fields = _fields(given := params.model_dump())
    if problem := _misfit_of_width(given):
        raise ModelError(f"model: {problem}")  # of pretrained vectors, whose width only their file has
    fields.setdefault("head_dim", fields["embed_dim"] // fields["num_heads"])
    return fields


def _misfit_of_width(given: dict[str, Any]) -> str:
    """Says which of the valid fields does not fit the width of a token; empty if all do."""
    fields, valid = _fields(given), given.keys()
    if not valid >= {"embed_dim", "word_dim"}:
        return ""
    if problem := _other_width(fields, given["embed_dim"]):
        return problem
    if valid >= {"num_heads", "head_dim"} and (problem := _undivided(fields)):
        return problem
    if "mlp_ratio" in valid and (problem := _without_units(fields)):
        return f"mlp_ratio {fields['mlp_ratio']} {problem}"
    return ""


def _other_width(fields: dict[str, Any], embed_dim: int | None) -> str:
    """Says that the given width of a token is not that of a word although it must be; empty if all is well."""
    if fields["tokenizer"] != "none" or embed_dim in (None, fields["word_dim"]):
        return ""
    return (
        f"embed_dim {embed_dim} must be word_dim {fields['word_dim']}, because without a tokenizer a token is a word: "
        "set embed_dim to null, and word_dim to the width"
    )


def _undivided(fields: dict[str, Any]) -> str:
    """Says that heads have no whole width; empty if they have."""
    if "head_dim" in fields or fields["embed_dim"] % fields["num_heads"] == 0:
        return ""
    return (
        f"num_heads {fields['num_heads']} does not divide {_width(fields)}: "
        "choose a num_heads that does, or give head_dim"
    )


def _without_units(fields: dict[str, Any]) -> str:
    """Says that MLPs have no hidden unit; empty if they have some."""
    if hidden_units(fields["embed_dim"], fields["mlp_ratio"]):
        return ""
    return f"leaves the MLP no unit at {_width(fields)}: at least {1 / fields['embed_dim']}"


def _width(fields: dict[str, Any]) -> str:
    """The width of a token, with the name of the field that says it."""
    return f"{'word_dim' if fields.get('tokenizer') == 'none' else 'embed_dim'} {fields['embed_dim']}"


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a valid `name`, with the given overrides."""
    task = task_of_model(given["name"])
    fields = MODELS[task][given["name"]] | {k: value for k, value in given.items() if k != "name" and value is not None}
    if tokenizers := TOKENIZERS[task].get(fields.get("tokenizer")):  # an override may change it
        fields = {key: value for key, value in fields.items() if key not in _others(task, tokenizers[0])}
    if fields.get("tokenizer") == "none":
        fields["embed_dim"] = fields["word_dim"]
    return fields


def _others(task: str, needed: Sequence[str]) -> set[str]:
    """The fields that only the other tokenizers of a task need."""
    return {field for fields, _ in TOKENIZERS[task].values() for field in fields} - {*needed}
