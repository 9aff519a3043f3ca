"""The cost of a model of texts: tokens, parameters and multiply-adds, counted without building the model."""

from pydantic import BaseModel

from cct.models.architectures import ModelError, ModelParams, resolve_text_architecture
from cct.models.cost import Cost, Parameters, encoder_cost, encoder_memory, encoder_parameters
from cct.models.fields import TextArchitecture
from cct.models.names import CUSTOM, MODELS, TEXTS


def token_counts(architecture: TextArchitecture, length: int) -> tuple[int, int]:
    """Places after the convolution, and tokens before a class token, of texts of `length` words.

    Raises:
        ModelError: patches do not fill the length, or it is too short for the convolution.
    """
    a = architecture
    if a.tokenizer == "patch":
        if length % a.patch_size:
            raise ModelError(
                f"model: patches of {a.patch_size} words do not fill texts of {length}: set preprocess.max_length to a "
                f"multiple of {a.patch_size}, and preprocess.padding to max_length"
            )
        return length // a.patch_size, length // a.patch_size
    if a.tokenizer == "none":
        return length, length
    places = (length + 2 * a.padding - a.kernel_size) // a.stride + 1
    if places < 1:
        raise ModelError(
            f"model: a convolution over {a.kernel_size} words leaves nothing of texts of {length}: lower "
            "model.kernel_size, or raise preprocess.max_length"
        )
    return places, places // 2 + 1


def text_cost(architecture: TextArchitecture, *, length: int, classes: int) -> Cost:
    """Tokens and multiply-adds for one text of `length` words. A look-up of vectors is none.

    Raises:
        ModelError: as `token_counts`.
    """
    a = architecture
    places, tokens = token_counts(a, length)
    width = {"conv": a.kernel_size, "patch": a.patch_size, "none": 0}[a.tokenizer]
    return encoder_cost(a, tokens, classes=classes, tokenizer_macs=places * width * a.word_dim * a.embed_dim)


def count_text_parameters(
    architecture: TextArchitecture, *, length: int, classes: int, vocabulary_size: int = 0
) -> int:
    """Number of parameters, from the shapes of the layers. Without a vocabulary: without the vectors of words."""
    size = {"length": length, "classes": classes, "vocabulary_size": vocabulary_size}
    return _parameters(architecture, **size).total(architecture.num_layers)


def _parameters(a: TextArchitecture, *, length: int, classes: int, vocabulary_size: int) -> Parameters:
    width = {"conv": a.kernel_size, "patch": a.patch_size, "none": 0}[a.tokenizer]
    tokenizer = vocabulary_size * a.word_dim + width * a.word_dim * a.embed_dim + a.conv_bias * a.embed_dim
    tokens = text_cost(a, length=length, classes=classes).tokens
    return encoder_parameters(a, tokens, classes=classes, tokenizer=tokenizer)


def text_training_memory(
    architecture: TextArchitecture,
    *,
    length: int,
    classes: int,
    vocabulary_size: int,
    batch_size: int,
    frozen_depths: int = 0,
    in_parts: bool = False,
    frozen_vectors: bool = False,
) -> int:
    """Lower bound of a training's memory in float32, in bytes, counted as that of images."""
    a = architecture
    places, _ = token_counts(a, length)
    return encoder_memory(
        a,
        _parameters(a, length=length, classes=classes, vocabulary_size=vocabulary_size),
        first=length * a.word_dim + places * a.embed_dim,
        tokens=text_cost(a, length=length, classes=classes).tokens,
        batch_size=batch_size,
        frozen_depths=frozen_depths,
        in_parts=in_parts,
        untrained=vocabulary_size * a.word_dim if frozen_vectors else 0,
    )


class TextModelRow(BaseModel):
    """A line of `cct models --texts`; `parameters` are those without the vectors of words."""

    name: str
    parameters: int
    macs: int
    tokens: int


def text_model_table(*, length: int = 64, classes: int = 4, word_dim: int | None = None) -> list[TextModelRow]:
    """Every named model of texts at one length. Models that cannot take it are left out."""
    rows = []
    for name in MODELS[TEXTS]:
        if name in CUSTOM:
            continue
        try:
            a = resolve_text_architecture(ModelParams(name=name), word_dim=word_dim)
            spent = text_cost(a, length=length, classes=classes)
        except ModelError:
            continue
        parameters = count_text_parameters(a, length=length, classes=classes)
        rows.append(TextModelRow(name=name, parameters=parameters, macs=spent.macs, tokens=spent.tokens))
    return rows
