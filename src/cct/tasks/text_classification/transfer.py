"""Copies the weights of a trained model of texts into a new one, for fine-tuning. Words keep their vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.models.architectures import ModelParams
from cct.models.build_text import EMBEDDING
from cct.models.metadata import model_metadata
from cct.models.saving import load_model
from cct.models.transfer import WeightsError
from cct.words import FIRST_WORD

TABLE = f"{EMBEDDING}/table"


def initialize(path: Path, model: keras.Model, params: ModelParams, meta: Mapping[str, Any]) -> str:
    """Copy the weights of a model file into `model`. Returns a text about the changed or missing ones.

    Words that the model to start from does not know keep their vectors. A head for another number of classes keeps its
    random weights.

    Raises:
        WeightsError: the models differ in more than that. Nothing is changed then.
    """
    metadata = model_metadata(path)
    if metadata.task != meta["task"]:
        raise WeightsError(f"{path} is a model for {metadata.task}, and the data are texts")
    if metadata.input["tokens"] != meta["tokens"]:
        raise WeightsError(f"{path} takes {metadata.input['tokens']}, and preprocess.tokens = {meta['tokens']}")
    source = load_model(path)
    theirs = {v.path.removeprefix(f"{source.name}/"): keras.ops.convert_to_numpy(v) for v in source.weights}
    ours = {v.path.removeprefix(f"{model.name}/"): v for v in model.weights if "seed_generator" not in v.path}
    values, notes, problems = {}, [], []
    for name, variable in ours.items():
        shape, value = tuple(variable.shape), theirs.get(name)
        if value is None:
            problems.append(f"only in the new model: {name}")
        elif name == TABLE and value.shape[1] == shape[1]:
            known, table = _vectors(keras.ops.convert_to_numpy(variable), value, meta, metadata.input["vocabulary"])
            values[name] = table
            notes.append(f"{known:,} of {len(meta['vocabulary']):,} words known" if meta["vocabulary"] else "")
        elif value.shape == shape:
            values[name] = value
        elif name.startswith("head/"):
            notes.append("new head")
        else:
            problems.append(f"shapes differ: {name} {value.shape}, needed {shape}")
    if problems:
        raise WeightsError("\n  ".join([f"{len(problems)} weights do not fit:", *sorted(problems)]))
    for name, value in values.items():
        ours[name].assign(value)
    return ", ".join(dict.fromkeys(filter(None, notes))) or "all weights taken"


def _vectors(
    table_vd: np.ndarray, theirs_ud: np.ndarray, meta: Mapping[str, Any], vocabulary: list[str]
) -> tuple[int, np.ndarray]:
    """How many words are known, and the table with their vectors. Bytes have the same numbers everywhere."""
    if not meta["vocabulary"]:
        return 0, theirs_ud
    places, table_vd = {word: place for place, word in enumerate(vocabulary)}, table_vd.copy()
    table_vd[:FIRST_WORD] = theirs_ud[:FIRST_WORD]
    known = [(row, places[word]) for row, word in enumerate(meta["vocabulary"]) if word in places]
    for row, place in known:
        table_vd[FIRST_WORD + row] = theirs_ud[FIRST_WORD + place]
    return len(known), table_vd
