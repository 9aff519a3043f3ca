"""Copies the weights of a trained model of texts into a new one, for fine-tuning. Words keep their vectors."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.models.architectures import ModelParams
from cct.models.build_text import EMBEDDING
from cct.models.metadata import model_metadata
from cct.models.saving import load_model
from cct.models.transfer import Values, WeightsError, copy_weights
from cct.words import FIRST_WORD

TABLE = f"{EMBEDDING}/table"


def initialize(path: Path, model: keras.Model, params: ModelParams, meta: Mapping[str, Any]) -> str:
    """Copy the weights of a model file into `model`. Words that it does not know keep their vectors.

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
    return copy_weights(load_model(path), model, [fit], source_classes=metadata.classes, classes=meta["classes"])


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
