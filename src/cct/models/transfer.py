"""Copies the weights of one model into another for fine-tuning."""

from collections.abc import Callable, Sequence
from functools import partial

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
    "columns",  # of tokens, which follow from the size of the images
    "rate",  # of dropout after the positions, as is its seed
    "seed",
    "initialization",
    "dropout",
    "projection_dropout",
    "attention_dropout",
    "stochastic_depth",
    "vocabulary_size",
}
Values = dict[str, np.ndarray]  # weights by the path of their variable
# The kernels that read the images, by the kind of tokenizer.
FIRST_CONVOLUTIONS = {"tokenizer/convolution_0/kernel", "tokenizer/projection/kernel"}


class WeightsError(CCTError):
    """A checkpoint does not fit the model."""


def initialize_from(
    source: keras.Model,
    network: keras.Model,
    architecture: Architecture,
    *,
    image_shape: tuple[int, ...],
    source_classes: Sequence[str] | None = None,
    classes: Sequence[str] = (),
) -> str:
    """Copy the weights of a trained model into a new model of the same architecture, for fine-tuning.

    - Positions of another size are interpolated.
    - The first convolution fits another number of channels, as timm does it (`fit_channels`).
    - The head is copied if both models have the same classes; its outputs are matched by their names. Otherwise it
      keeps its random weights.

    Args:
        source: the trained model.
        network: the new model, which is changed.
        architecture: of the new model.
        image_shape: height, width and channels of its images.
        source_classes: the names of the trained model's outputs, in their order. None: they are not known.
        classes: the names of the new model's outputs.

    Returns:
        One line that says what was copied, what was fitted, and what is new.

    Raises:
        WeightsError: the models differ in more than that. Nothing is changed then.
    """
    shapes = source.input_shape[1:], image_shape
    return copy_weights(
        source,
        network,
        [partial(fit, architecture=architecture, source=shapes[0], target=shapes[1]) for fit in FITS],
        source_classes=source_classes,
        classes=classes,
    )


def copy_weights(
    source: keras.Model,
    network: keras.Model,
    fits: Sequence[Callable[[Values], list[str]]],
    *,
    source_classes: Sequence[str] | None,
    classes: Sequence[str],
) -> str:
    """Copy the weights of a trained model into a new one, whatever its inputs are.

    Args:
        source: the trained model.
        network: the new model, which is changed.
        fits: functions that change the weights that both models have, in place, so that they fit the new model. Each
            returns notes of what it did.
        source_classes: as for `initialize_from`.
        classes: as for `initialize_from`.

    Returns:
        One line that says what was copied, what was fitted, and what is new.

    Raises:
        WeightsError: the models differ in more than that. Nothing is changed then.
    """
    values = {_path(source, v): keras.ops.convert_to_numpy(v) for v in source.weights}
    ours = {_path(network, v): v for v in network.weights}
    problems = [f"only in the new model: {path}" for path in ours.keys() - values.keys()]
    problems += [f"only in the model to start from: {path}" for path in values.keys() - ours.keys()]
    fitted = {path: values[path] for path in ours.keys() & values.keys()}
    notes = [note for fit in fits for note in fit(fitted)]
    notes.append(_fit_head(fitted, source_classes, classes))
    problems += [
        f"shapes differ: {path} {values[path].shape}, needed {tuple(ours[path].shape)}"
        for path, value in fitted.items()
        if value.shape != tuple(ours[path].shape)
    ]
    problems += _other_functions(source, network)
    if problems:
        raise WeightsError("\n  ".join([f"{len(problems)} weights do not fit:", *sorted(problems)]))
    for path, value in fitted.items():
        ours[path].assign(value)
    return ", ".join([f"{len(fitted)} of {len(ours)} tensors copied", *notes])


def _path(model: keras.Model, variable: keras.Variable) -> str:
    return variable.path.removeprefix(f"{model.name}/")


def _fit_positions(
    values: Values, architecture: Architecture, source: tuple[int, ...], target: tuple[int, ...]
) -> list[str]:
    """Interpolate the positions in `values` for images of another shape, unless they are another model's."""
    if "positional_embedding/table" not in values or source[:2] == target[:2]:
        return []
    table_1nd, first = values["positional_embedding/table"], int(architecture.pooling == "class_token")
    new = token_grid(architecture, *target[:2])[-1]
    try:
        old = token_grid(architecture, *source[:2])[-1]
    except ModelError:  # of another model: its tokenizer does not fit either, and is named
        return []
    if old == new or table_1nd.shape[1] != first + old[0] * old[1]:
        return []
    values["positional_embedding/table"] = interpolate_positions(table_1nd, new, source=old, class_tokens=first)
    return [f"positions interpolated from {old[0]}x{old[1]} to {new[0]}x{new[1]}"]


def _fit_first_convolution(
    values: Values, architecture: Architecture, source: tuple[int, ...], target: tuple[int, ...]
) -> list[str]:
    """Fit the kernel in `values` that reads the images to their number of channels."""
    old, new = source[-1], target[-1]
    if old == new:
        return []
    for path in FIRST_CONVOLUTIONS & values.keys():
        values[path] = fit_channels(values[path], new)
    return [f"first convolution {'summed' if new == 1 else 'repeated'} from {old} to {new} channels"]


FITS = (_fit_positions, _fit_first_convolution)


def _fit_head(values: Values, old: Sequence[str] | None, new: Sequence[str]) -> str:
    """Put the head's outputs in `values` into the order of the new classes; take the head out if they are others."""
    head = [path for path in values if path.startswith("head/")]
    if old is None or sorted(old) != sorted(new):
        for path in head:
            del values[path]
        return "head new (the file names no classes)" if old is None else "head new (other classes)"
    if list(old) == list(new):
        return "head with the same classes"
    for path in head:
        values[path] = values[path][..., [old.index(name) for name in new]]
    return "head matched by class names"


def fit_channels(kernel_hwio: np.ndarray, channels: int) -> np.ndarray:
    """The kernel of a first convolution for images with another number of channels, as timm's `adapt_input_conv`.

    To one channel: the sum over all. To any other number: the channels in turn, times inputs / channels. If `channels`
    is 1 or a multiple of the inputs, the sum over channels stays. Then an image of equal channels, such as a grey one,
    gives the same tokens as before. Otherwise this holds only if the kernel's channels are equal.

    Args:
        kernel_hwio: (height, width, inputs, outputs).
        channels: the new number of inputs.

    Returns:
        (height, width, channels, outputs), of the same type.
    """
    inputs = kernel_hwio.shape[2]
    if channels == 1:
        return kernel_hwio.sum(axis=2, keepdims=True)
    return kernel_hwio[:, :, np.arange(channels) % inputs] * np.float32(inputs / channels)


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
    """Interpolate a table of positions (1, n, d) of square images for images of any shape.

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
