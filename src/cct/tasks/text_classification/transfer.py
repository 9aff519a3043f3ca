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

TABLE, POSITIONS = f"{EMBEDDING}/table", "positional_embedding"


def initialize(
    path: Path, model: keras.Model, params: ModelParams, meta: Mapping[str, Any], *, folder: Path, freeze: str
) -> str:
    """Copy the weights of a model file into `model`. Words and positions that it does not know stay as they are.

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
    metadata, source = model_metadata(path), load_model(path)
    if metadata.input["tokens"] != meta["tokens"]:
        raise WeightsError(f"{path} takes {metadata.input['tokens']}, and preprocess.tokens = {meta['tokens']}")
    words, theirs = meta["vocabulary"], metadata.input["vocabulary"]
    own_vd = keras.ops.convert_to_numpy(model.get_layer(EMBEDDING).table)
    fits = [
        partial(_fit_vectors, own_vd=own_vd, words=words, theirs=theirs),
        partial(_fit_positions, own_1nd=_positions(model)),
    ]
    told = copy_weights(source, model, fits, source_classes=metadata.classes, classes=meta["classes"])
    if EMBEDDING in {layer.name for layer in frozen_layers(model, freeze)}:  # its positions are frozen too
        count = _random_vectors(words, theirs, read_vectors(folder) if "embeddings" in meta else None)
        _warn_of_random(f"{count:,} of {len(words):,} words", count, path, freeze)
        old, new = _positions(source), _positions(model)
        if old is not None and new is not None:
            _warn_of_random(f"{new.shape[1] - old.shape[1]:,} positions", new.shape[1] - old.shape[1], path, freeze)
    return told


def _positions(model: keras.Model) -> np.ndarray | None:
    """The learnable positions (1, n, d) of a model; None if it has none."""
    table = next((getattr(layer, "table", None) for layer in model.layers if layer.name == POSITIONS), None)
    return None if table is None else keras.ops.convert_to_numpy(table)


def _random_vectors(words: Sequence[str], theirs: Sequence[str], vectors_vd: np.ndarray | None) -> int:
    """How many words have a random vector: neither the model to start from nor a file of vectors has them."""
    known = {*theirs}
    random_v = np.array([word not in known for word in words], bool)
    return int((random_v if vectors_vd is None else random_v & np.isnan(vectors_vd[:, 0])).sum())


def _warn_of_random(which: str, count: int, path: Path, freeze: str) -> None:
    """Warn of vectors that are random and stay so."""
    if count > 0:
        log.warning(
            "train.freeze = %s: %s are not in %s, and their random vectors stay as they are. Set train.freeze to none "
            "to train them",
            freeze, which, path,
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


def _fit_positions(values: Values, *, own_1nd: np.ndarray | None) -> list[str]:
    """Put the first positions in `values` into the new model's table, if it is of another length."""
    path = f"{POSITIONS}/table"
    theirs_1nd = values.get(path)
    if own_1nd is None or theirs_1nd is None or own_1nd.shape[1] == theirs_1nd.shape[1]:
        return []
    if own_1nd.shape[2] != theirs_1nd.shape[2]:
        return []  # of another model
    old, new = theirs_1nd.shape[1], own_1nd.shape[1]
    copied, fitted_1nd = min(old, new), own_1nd.copy()
    fitted_1nd[:, :copied] = theirs_1nd[:, :copied]
    values[path] = fitted_1nd
    return [f"positions: first {copied:,} of {old:,} copied" + (f", {new - old:,} new" if new > old else "")]
