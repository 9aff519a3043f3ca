"""Text classification: the model, its pretrained vectors, and the augmentation of batches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.augment.params import AugmentParams
from cct.data.store import read_vectors, word_dim
from cct.models.architectures import ModelParams, resolve_text_architecture
from cct.models.build_text import build_text_model
from cct.models.fields import TextArchitecture
from cct.models.text_cost import text_training_memory
from cct.tasks.text_classification.checks import require_text_augmentation, require_trained_vectors, require_word_dim
from cct.training.parts import FREEZE
from cct.words import FIRST_WORD, PADDING, UNKNOWN

Meta = Mapping[str, Any]


def check(params: ModelParams, augment: AugmentParams, meta: Meta) -> None:
    """Refuse parameters that do not fit texts, before any work.

    Raises:
        CCTError: the model takes images or does not fit the vectors, an augmentation changes images, or vectors that do
            not exist would be frozen.
    """
    architecture = resolve(params, meta)
    require_text_augmentation(augment)
    if (vector_dim := word_dim(meta)) is None:
        require_trained_vectors(params)
    else:
        require_word_dim(architecture, vector_dim, meta["embeddings"]["file"])


def resolve(params: ModelParams, meta: Meta) -> TextArchitecture:
    """The architecture, whose words are as wide as the vectors of the data."""
    return resolve_text_architecture(params, word_dim=word_dim(meta))


def describe(params: ModelParams, meta: Meta) -> dict[str, Any]:
    """Everything that decides the model besides the data, as JSON values."""
    return resolve(params, meta).model_dump() | {"frozen": bool(params.freeze_embeddings)}


def _size(meta: Meta) -> dict[str, int]:
    return {
        "length": meta["max_length"],
        "classes": len(meta["classes"]),
        "vocabulary_size": meta["vocabulary_size"],
    }


def memory(params: ModelParams, meta: Meta, batch_size: int, freeze: str = "none") -> int:
    """Lower bound of a training's memory, in bytes."""
    architecture = resolve(params, meta)
    frozen_depths = FREEZE[freeze](architecture.num_layers)
    return text_training_memory(
        architecture,
        **_size(meta),
        batch_size=batch_size,
        frozen_depths=frozen_depths,
        in_parts=keras.backend.backend() == "tensorflow",
        frozen_vectors=bool(params.freeze_embeddings),
    )


def build(params: ModelParams, meta: Meta, folder: Path) -> keras.Model:
    """A model from the data's numbers of words to one logit per class.

    Args:
        params: the section `model`.
        meta: the content of meta.json.
        folder: has the vectors of the words, if meta.json names them.
    """
    vectors_vd = initial_vectors(read_vectors(folder)) if "embeddings" in meta else None
    frozen = bool(params.freeze_embeddings)
    return build_text_model(resolve(params, meta), **_size(meta), vectors_vd=vectors_vd, frozen=frozen)


def initial_vectors(known_vd: np.ndarray) -> np.ndarray:
    """Vectors of all numbers: the known ones, their mean for the unknown word, random ones for words without one.

    Random ones have the mean and the standard deviation of the known ones in each dimension.

    Args:
        known_vd: (v, d), NaN in the rows of words without a vector.
    """
    found_v = ~np.isnan(known_vd[:, 0])
    count, vector_dim = known_vd.shape
    mean, deviation = known_vd[found_v].mean(axis=0), known_vd[found_v].std(axis=0)
    vectors_vd = np.zeros((FIRST_WORD + count, vector_dim), np.float32)
    vectors_vd[UNKNOWN] = mean
    random = keras.ops.convert_to_numpy(keras.random.normal((count, vector_dim)))
    vectors_vd[FIRST_WORD:] = np.where(found_v[:, None], known_vd, mean + deviation * random)
    vectors_vd[PADDING] = 0
    return vectors_vd


def input_facts(meta: Meta) -> dict[str, Any]:
    """How texts become the model's, for its metadata, with the vocabulary."""
    return {name: meta[name] for name in ("tokens", "max_length", "truncation", "text_column", "vocabulary")}
