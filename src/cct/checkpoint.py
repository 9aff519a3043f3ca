"""The authors' PyTorch checkpoints as Keras models.

Their keys (https://github.com/SHI-Labs/Compact-Transformers) are mapped one to one; a key left over on either side is
an error. Linear weights are (out, in) there and (in, out) here, convolutions (out, in, h, w) there and (h, w, in, out)
here.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from cct.errors import CCTError
from cct.layers import sinusoids
from cct.variants import Architecture, grid


class CheckpointError(CCTError):
    """A checkpoint does not fit the model."""


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read a `.pth` file: tensors only, nothing in it is executed.

    Returns:
        float32 arrays by key; a wrapping `state_dict` or `model` and a prefix `module.` are taken off.

    Raises:
        CheckpointError: PyTorch is not installed, or the file is no such checkpoint.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise CheckpointError("reading a .pth file needs PyTorch: make setup EXTRA=torch") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not a checkpoint that can be read safely: {_first_line(error)}") from error
    except Exception as error:  # pickle.UnpicklingError and whatever else a crafted file provokes
        raise CheckpointError(f"{path}: not a checkpoint of tensors alone: {_first_line(error)}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path}: expected tensors by name, found {type(content).__name__}")
    wrong = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise CheckpointError(f"{path}: not tensors: {', '.join(wrong[:5])}")
    return {key.removeprefix("module."): value.float().numpy() for key, value in content.items()}


def mapping(architecture: Architecture) -> dict[str, str]:
    """The authors' key of each weight, by its path in the Keras model."""
    a, keys = architecture, {}

    def pair(ours: str, theirs: str, *, bias: bool = True, scale: str = "kernel", shift: str = "bias") -> None:
        keys[f"{ours}/{scale}"] = f"{theirs}.weight"
        if bias:
            keys[f"{ours}/{shift}"] = f"{theirs}.bias"

    def norm(ours: str, theirs: str) -> None:
        pair(ours, theirs, scale="gamma", shift="beta")

    if a.tokenizer == "patches":
        pair("tokenizer/projection", "tokenizer.conv_layers.0.0")
    else:
        for i in range(a.convolutions):
            pair(f"tokenizer/convolution_{i}", f"tokenizer.conv_layers.{i}.0", bias=a.convolution_bias)
    if a.pooling == "class_token":
        keys["class_token/token"] = "classifier.class_emb"
    elif a.pooling == "sequence":
        pair("pool/score", "classifier.attention_pool")
    if a.positions == "learnable":
        keys["positions/table"] = "classifier.positional_emb"
    for i in range(a.layers):
        ours, theirs = f"encoder_{i}", f"classifier.blocks.{i}"
        norm(f"{ours}/norm_1", f"{theirs}.pre_norm")
        pair(f"{ours}/attention/qkv", f"{theirs}.self_attn.qkv", bias=a.qkv_bias)
        pair(f"{ours}/attention/projection", f"{theirs}.self_attn.proj")
        norm(f"{ours}/norm_2", f"{theirs}.norm1")
        pair(f"{ours}/dense_1", f"{theirs}.linear1")
        pair(f"{ours}/dense_2", f"{theirs}.linear2")
    norm("norm", "classifier.norm")
    pair("head", "classifier.fc")
    return keys


def convert(
    tensors: Mapping[str, np.ndarray], network: keras.Model, architecture: Architecture, *, image_shape: tuple[int, ...]
) -> None:
    """Put the tensors of a checkpoint into a model; positions of another size are interpolated.

    Raises:
        CheckpointError: tensors are left over on either side, or shapes differ.
    """
    left, keys, problems = dict(tensors), mapping(architecture), []
    values: dict[str, np.ndarray] = {}
    if architecture.positions == "sinusoidal" and "classifier.positional_emb" in left:
        table = left.pop("classifier.positional_emb")  # not trained there, and computed here
        if not np.allclose(table, sinusoids(*table.shape[1:]), atol=1e-4):
            problems.append("classifier.positional_emb is no table of sinusoids: use positions learnable")
    for variable in network.trainable_variables:
        path = variable.path.removeprefix(f"{network.name}/")
        key = keys[path]
        if key not in left:
            problems.append(f"missing in the checkpoint: {key} (for {path}, {tuple(variable.shape)})")
            continue
        value = _oriented(left.pop(key))
        if path == "positions/table" and value.shape != tuple(variable.shape):
            value = _fitted(value, architecture, image_shape)
        if value.shape != tuple(variable.shape):
            problems.append(f"shapes differ: {key} {value.shape}, {path} {tuple(variable.shape)}")
        values[path] = value
    problems += [f"left over in the checkpoint: {key} {tuple(value.shape)}" for key, value in left.items()]
    if problems:
        raise CheckpointError("\n  ".join([f"{len(problems)} tensors do not fit:", *problems]))
    for variable in network.trainable_variables:
        variable.assign(values[variable.path.removeprefix(f"{network.name}/")])


def start_from(
    source: keras.Model, network: keras.Model, architecture: Architecture, *, image_shape: tuple[int, ...]
) -> str:
    """Copy the weights of a trained model into a new one of the same architecture, to fine-tune it.

    Positions of another size are interpolated; a head for another number of classes keeps its random weights.

    Returns:
        What was not taken as it is, in words.

    Raises:
        CheckpointError: the models differ in more than that; nothing is changed then.
    """
    values = {v.path.removeprefix(f"{source.name}/"): keras.ops.convert_to_numpy(v) for v in source.trainable_variables}
    ours = {v.path.removeprefix(f"{network.name}/"): v for v in network.trainable_variables}
    notes = []
    problems = [f"only in the new model: {path}" for path in ours.keys() - values.keys()]
    problems += [f"only in the model to start from: {path}" for path in values.keys() - ours.keys()]
    for path in sorted(ours.keys() & values.keys()):
        shape = tuple(ours[path].shape)
        if path == "positions/table" and values[path].shape != shape and values[path].shape[2:] == shape[2:]:
            values[path] = _fitted(values[path], architecture, image_shape)
            notes.append("positions interpolated")
        if values[path].shape == shape:
            continue
        if path.startswith("head/"):
            values[path] = keras.ops.convert_to_numpy(ours[path])
            notes.append("new head")
        else:
            problems.append(f"shapes differ: {path} {values[path].shape}, needed {shape}")
    if problems:
        raise CheckpointError("\n  ".join([f"{len(problems)} weights do not fit:", *sorted(problems)]))
    for path, variable in ours.items():
        variable.assign(values[path])
    return ", ".join(dict.fromkeys(notes)) or "all weights taken"


def interpolate_positions(table_1nd: np.ndarray, target: tuple[int, int], *, class_tokens: int = 0) -> np.ndarray:
    """A position table for another grid of tokens, bilinearly, as the authors' code does it; class tokens stay.

    Args:
        table_1nd: (1, class_tokens + side * side, d), of a square grid.
        target: rows and columns.

    Returns:
        (1, class_tokens + rows * columns, d), float32.

    Raises:
        CheckpointError: the table is of no square grid.
    """
    first, grid_nd = table_1nd[0, :class_tokens], table_1nd[0, class_tokens:]
    side = round(len(grid_nd) ** 0.5)
    if side * side != len(grid_nd):
        raise CheckpointError(f"positions of {len(grid_nd)} tokens are no square grid and cannot be interpolated")
    rows, columns = (_bilinear(side, count) for count in target)
    resized = np.einsum("rs,sqd,cq->rcd", rows, grid_nd.reshape(side, side, -1), columns)
    return np.concatenate([first, resized.reshape(target[0] * target[1], -1)])[None].astype("float32")


def _fitted(table_1nd: np.ndarray, architecture: Architecture, image_shape: tuple[int, ...]) -> np.ndarray:
    target = grid(architecture, *image_shape[:2])[-1]
    return interpolate_positions(table_1nd, target, class_tokens=int(architecture.pooling == "class_token"))


def _bilinear(source: int, target: int) -> np.ndarray:
    """Weights (target, source) of linear interpolation between the centres of cells, the outermost held."""
    place = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    below = np.floor(place).astype(int)
    weights = np.zeros((target, source))
    weights[np.arange(target), below] = 1 - (place - below)
    weights[np.arange(target), np.minimum(below + 1, source - 1)] += place - below
    return weights


def _oriented(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
