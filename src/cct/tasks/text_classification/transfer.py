"""Copies the weights of a trained model of texts into a new one, for fine-tuning. Words keep their vectors."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.data.store import read_vectors
from cct.models.architectures import ModelParams
from cct.models.build_text import EMBEDDING
from cct.models.metadata import model_metadata
from cct.models.saving import load_model
from cct.models.transfer import Values, WeightsError, copy_weights
from cct.training.parts import frozen_layers
from cct.words import FIRST_WORD

log = logging.getLogger(__name__)

TABLE = f"{EMBEDDING}/table"


def initialize(
    path: Path, model: keras.Model, params: ModelParams, meta: Mapping[str, Any], *, folder: Path, freeze: str
) -> str:
    """Copy the weights of a model file into `model`. Words that it does not know keep their vectors.

    Args:
        path: the file.
        model: the new model, which is changed.
        params: the section `model`.
        meta: the content of meta.json.
        folder: has the vectors of the words, if meta.json names them.
        freeze: `train.freeze`. It is warned of if it keeps random vectors as they are.

    Returns:
        One line that says what was copied, how many words were known, and what is new.

    Raises:
        WeightsError: the models differ in more than words and classes. Nothing is changed then.
    """
    metadata = model_metadata(path)
    if metadata.input["tokens"] != meta["tokens"]:
        raise WeightsError(f"{path} takes {metadata.input['tokens']}, and preprocess.tokens = {meta['tokens']}")
    own_vd = keras.ops.convert_to_numpy(model.get_layer(EMBEDDING).table)
    fit = partial(_fit_vectors, own_vd=own_vd, words=meta["vocabulary"], theirs=metadata.input["vocabulary"])
    told = copy_weights(load_model(path), model, [fit], source_classes=metadata.classes, classes=meta["classes"])
    if EMBEDDING in {layer.name for layer in frozen_layers(model, freeze)}:
        _warn_of_random_vectors(path, meta, theirs=metadata.input["vocabulary"], folder=folder, freeze=freeze)
    return told


def _warn_of_random_vectors(
    path: Path, meta: Mapping[str, Any], *, theirs: Sequence[str], folder: Path, freeze: str
) -> None:
    """Warn of words whose vectors are random and stay so: neither the model nor a file of vectors has them."""
    known, words = {*theirs}, meta["vocabulary"]
    random_v = np.array([word not in known for word in words], bool)
    if "embeddings" in meta:
        random_v &= np.isnan(read_vectors(folder)[:, 0])
    if count := int(random_v.sum()):
        log.warning(
            "train.freeze = %s: %s of %s words are not in %s, and their random vectors stay as they are. Set "
            "train.freeze to none to train them",
            freeze, f"{count:,}", f"{len(words):,}", path,
        )  # fmt: skip


def _fit_vectors(values: Values, *, own_vd: np.ndarray, words: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """Put the vectors in `values` into the order of the new vocabulary. Bytes have the same numbers everywhere."""
    table_vd = values.get(TABLE)
    if not words or table_vd is None or table_vd.shape[1] != own_vd.shape[1]:
        return []
    places, fitted_vd = {word: place for place, word in enumerate(theirs)}, own_vd.copy()
    fitted_vd[:FIRST_WORD] = table_vd[:FIRST_WORD]
    known = [(row, places[word]) for row, word in enumerate(words) if word in places]
    for row, place in known:
        fitted_vd[FIRST_WORD + row] = table_vd[FIRST_WORD + place]
    values[TABLE] = fitted_vd
    return [f"{len(known):,} of {len(words):,} words known"]
