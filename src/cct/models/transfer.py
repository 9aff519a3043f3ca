"""Copies the weights of one model into another for fine-tuning."""

import keras
import numpy as np

from cct.errors import CCTError
from cct.models.architectures import Architecture, ModelError
from cct.models.cost import token_grid
from cct.models.layers.tokenizers import Standardize

# Options of layers that a fine-tuned model may have otherwise.
TRAINING_OPTIONS = {
    "name",
    "dtype",
    "trainable",
    "batch_shape",
    "initialization",
    "dropout",
    "projection_dropout",
    "attention_dropout",
    "stochastic_depth",
}


class WeightsError(CCTError):
    """A checkpoint does not fit the model."""


def initialize_from(
    source: keras.Model, network: keras.Model, architecture: Architecture, *, image_shape: tuple[int, ...]
) -> str:
    """Copy the weights of a trained model into a new model of the same architecture, for fine-tuning.

    Positions of another size are interpolated. A head for another number of classes keeps its random weights.

    Returns:
        A text that names these exceptions.

    Raises:
        WeightsError: the models differ in more than that. Nothing is changed then.
    """
    values = {v.path.removeprefix(f"{source.name}/"): keras.ops.convert_to_numpy(v) for v in source.trainable_variables}
    ours = {v.path.removeprefix(f"{network.name}/"): v for v in network.trainable_variables}
    notes = []
    problems = [f"only in the new model: {path}" for path in ours.keys() - values.keys()]
    problems += [f"only in the model to start from: {path}" for path in values.keys() - ours.keys()]
    for path in sorted(ours.keys() & values.keys()):
        shape = tuple(ours[path].shape)
        if path == "positional_embedding/table" and source.input_shape[1:3] != tuple(image_shape[:2]):
            fitted = _fit_to_images(values[path], architecture, source.input_shape[1:3], image_shape)
            notes += ["positions interpolated"] * (fitted is not values[path])
            values[path] = fitted
        if values[path].shape == shape:
            continue
        if path.startswith("head/"):
            values[path] = keras.ops.convert_to_numpy(ours[path])
            notes.append("new head")
        else:
            problems.append(f"shapes differ: {path} {values[path].shape}, needed {shape}")
    problems += _other_functions(source, network)
    if problems:
        raise WeightsError("\n  ".join([f"{len(problems)} weights do not fit:", *sorted(problems)]))
    for path, variable in ours.items():
        variable.assign(values[path])
    return ", ".join(dict.fromkeys(notes)) or "all weights taken"


def _fit_to_images(
    table_1nd: np.ndarray, architecture: Architecture, source_shape: tuple[int, ...], image_shape: tuple[int, ...]
) -> np.ndarray:
    """The positions for images of another shape. The same table if the grids are equal, or if it is another model's."""
    first = int(architecture.pooling == "class_token")
    target = token_grid(architecture, *image_shape[:2])[-1]
    try:
        grid = token_grid(architecture, *source_shape)[-1]
    except ModelError:  # of another model: its tokenizer does not fit either, and is named
        return table_1nd
    if grid == target or table_1nd.shape[1] != first + grid[0] * grid[1]:
        return table_1nd
    return interpolate_positions(table_1nd, target, source=grid, class_tokens=first)


def _other_functions(source: keras.Model, network: keras.Model) -> list[str]:
    """The options of layers that change a model's function but not the shapes of its weights, where they differ."""
    theirs = {layer.name: layer for layer in source.layers}
    found = []
    for layer in network.layers:
        if layer.name not in theirs or isinstance(layer, Standardize) or layer.name == "head":
            continue
        ours, other = layer.get_config(), theirs[layer.name].get_config()
        for option in sorted(ours.keys() & other.keys() - TRAINING_OPTIONS):
            if ours[option] != other[option]:
                found.append(f"{layer.name}: {option} {other[option]!r}, needed {ours[option]!r}")
    return found


def interpolate_positions(
    table_1nd: np.ndarray, target: tuple[int, int], *, source: tuple[int, int] | None = None, class_tokens: int = 0
) -> np.ndarray:
    """Interpolate a position table bilinearly to another grid of tokens, as the authors' code does. Class tokens stay.

    Args:
        table_1nd: (1, class_tokens + n, d).
        target: rows and columns.
        source: rows and columns of the table, n in all. None: it is of a square grid.

    Returns:
        (1, class_tokens + rows * columns, d), float32.

    Raises:
        WeightsError: the table is not of the grid.
    """
    first, grid_nd = table_1nd[0, :class_tokens], table_1nd[0, class_tokens:]
    height, width = source or (round(len(grid_nd) ** 0.5),) * 2
    if height * width != len(grid_nd):
        raise WeightsError(
            f"positions of {len(grid_nd)} tokens are not a square grid and cannot be interpolated: the checkpoint is "
            "of another model, or of images that are not square"
        )
    rows, columns = _bilinear(height, target[0]), _bilinear(width, target[1])
    resized = np.einsum("rs,sqd,cq->rcd", rows, grid_nd.reshape(height, width, -1), columns)
    return np.concatenate([first, resized.reshape(target[0] * target[1], -1)])[None].astype("float32")


def fit_positions(table_1nd: np.ndarray, architecture: Architecture, image_shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate a table of positions (1, n, d) for images of another shape.

    Raises:
        WeightsError: the table is not of a square grid.
    """
    target = token_grid(architecture, *image_shape[:2])[-1]
    return interpolate_positions(table_1nd, target, class_tokens=int(architecture.pooling == "class_token"))


def _bilinear(source: int, target: int) -> np.ndarray:
    """Weights (target, source) of linear interpolation between cell centres, and constant beyond the outermost ones."""
    place = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    below = np.floor(place).astype(int)
    weights = np.zeros((target, source))
    weights[np.arange(target), below] = 1 - (place - below)
    weights[np.arange(target), np.minimum(below + 1, source - 1)] += place - below
    return weights
