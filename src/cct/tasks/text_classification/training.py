"""Text classification: the model, its pretrained vectors, and the augmentation of batches."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.augment.params import AugmentParams
from cct.data.texts.vectors import Vectors, read_vectors, vectors_width
from cct.models.architectures import ModelError, ModelParams, resolve_text_architecture
from cct.models.build_text import build_text_model
from cct.models.fields import TextArchitecture
from cct.models.text_cost import text_training_memory
from cct.tasks.text_classification.augmentation import require_text_augmentation
from cct.training.parts import FREEZE
from cct.words import FIRST_WORD, PADDING, UNKNOWN

log = logging.getLogger(__name__)

Meta = Mapping[str, Any]


def check(params: ModelParams, augment: AugmentParams, meta: Meta) -> None:
    """Refuse parameters that do not fit texts, before any work.

    Raises:
        CCTError: the model takes images or does not fit the vectors, an augmentation changes images, or bytes would get
            vectors of words.
    """
    architecture = resolve(params)
    require_text_augmentation(augment)
    if params.embeddings and meta["tokens"] == "bytes":
        raise ModelError(
            "model.embeddings has vectors of words, and preprocess.tokens = bytes: set one of them to null"
        )
    if params.embeddings and architecture.word_dim != (width := vectors_width(Path(params.embeddings))):
        raise ModelError(
            f"model.word_dim = {architecture.word_dim}, and the vectors in {params.embeddings} have {width} "
            "dimensions: set model.word_dim to null"
        )


def resolve(params: ModelParams) -> TextArchitecture:
    """The architecture, whose words are as wide as the pretrained vectors."""
    width = vectors_width(Path(params.embeddings)) if params.embeddings and params.word_dim is None else None
    return resolve_text_architecture(params, word_dim=width)


def describe(params: ModelParams) -> dict[str, Any]:
    """Everything that decides the model, as JSON values, but for the content of `files`."""
    return resolve(params).model_dump() | {"frozen": bool(params.freeze_embeddings)}


def files(params: ModelParams) -> list[Path]:
    """The files whose content decides the model."""
    return [Path(params.embeddings)] if params.embeddings else []


def _size(meta: Meta) -> dict[str, int]:
    return {
        "length": meta["max_length"],
        "classes": len(meta["classes"]),
        "vocabulary_size": meta["vocabulary_size"],
    }


def memory(params: ModelParams, meta: Meta, batch_size: int, freeze: str = "none") -> int:
    """Lower bound of a training's memory, in bytes."""
    architecture = resolve(params)
    frozen_depths = FREEZE[freeze](architecture.num_layers)
    return text_training_memory(architecture, **_size(meta), batch_size=batch_size, frozen_depths=frozen_depths)


def build(params: ModelParams, meta: Meta) -> keras.Model:
    """A model from the data's numbers of words to one logit per class."""
    vectors_vd = None
    if params.embeddings:
        vectors = read_vectors(Path(params.embeddings), meta["vocabulary"])
        log.info("%s: %s of %s words have no vector", params.embeddings, *_missing(vectors))
        vectors_vd = initial_vectors(vectors)
    frozen = bool(params.freeze_embeddings)
    return build_text_model(resolve(params), **_size(meta), vectors_vd=vectors_vd, frozen=frozen)


def _missing(vectors: Vectors) -> tuple[str, str]:
    return f"{int((~vectors.found_v).sum()):,}", f"{len(vectors.found_v):,}"


def initial_vectors(vectors: Vectors) -> np.ndarray:
    """Vectors of all numbers (v, d): those of the file, their mean for the unknown word, random ones for the rest.

    Random ones have the mean and the standard deviation of those of the file in each dimension.
    """
    known = vectors.vectors_vd[vectors.found_v]
    if not len(known):
        raise ModelError("model.embeddings has a vector for no word of the training texts: is it of another language?")
    count, width = vectors.vectors_vd.shape
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    vectors_vd = np.zeros((FIRST_WORD + count, width), np.float32)
    vectors_vd[UNKNOWN] = mean
    random = keras.ops.convert_to_numpy(keras.random.normal((count, width)))
    vectors_vd[FIRST_WORD:] = np.where(vectors.found_v[:, None], vectors.vectors_vd, mean + deviation * random)
    vectors_vd[PADDING] = 0
    return vectors_vd


def input_facts(params: ModelParams, meta: Meta) -> dict[str, Any]:
    """How texts become the model's, for its metadata: with the vocabulary, and what pretrained vectors lack of it."""
    facts = {name: meta[name] for name in ("tokens", "max_length", "truncation", "vocabulary")}
    if params.embeddings:
        found_v = read_vectors(Path(params.embeddings), meta["vocabulary"]).found_v
        facts["words_without_vector"] = int((~found_v).sum())
    return facts
