"""Imports the authors' PyTorch checkpoints into Keras models.

Their keys (https://github.com/SHI-Labs/Compact-Transformers) are mapped one to one. A key left over on either side is
an error. Linear weights are (out, in) in PyTorch and (in, out) in Keras. Convolutions are (out, in, h, w) in PyTorch
and (h, w, in, out) in Keras.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cct.models.architectures import Architecture
from cct.models.cost import token_grid
from cct.models.layers.tokens import sinusoidal_table
from cct.models.transfer import WeightsError, fit_positions


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a `.pth` file. Nothing in the file is executed.

    Returns:
        float32 arrays by key, without a wrapping `state_dict` or `model` and without a prefix `module.`.

    Raises:
        WeightsError: PyTorch is not installed, or the file is not such a checkpoint.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise WeightsError("reading a .pth file needs PyTorch: make setup EXTRA=torch") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} cannot be read safely: {_first_line(error)}") from error
    except Exception as error:  # pickle.UnpicklingError, and any other error that a crafted file causes
        raise WeightsError(
            f"{path} is damaged or holds more than tensors: save model.state_dict(). {_first_line(error)}"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: expected tensors by name, found {type(content).__name__}")
    wrong = [repr(key) for key, value in content.items() if not isinstance(key, str) or not _is_dense(value)]
    if wrong:
        raise WeightsError(f"{path}: not dense tensors under names: {', '.join(wrong[:5])}")
    return {key.removeprefix("module."): value.detach().float().numpy() for key, value in content.items()}


def _is_dense(value: Any) -> bool:
    """Whether `value` is a tensor with all its values: not sparse, not quantized, not on the meta device."""
    import torch

    if not isinstance(value, torch.Tensor):
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_meta


def torch_keys(architecture: Architecture) -> dict[str, str]:
    """The authors' key of each weight, by its path in the Keras model."""
    a, keys = architecture, {}

    def pair(ours: str, theirs: str, *, bias: bool = True, scale: str = "kernel", shift: str = "bias") -> None:
        keys[f"{ours}/{scale}"] = f"{theirs}.weight"
        if bias:
            keys[f"{ours}/{shift}"] = f"{theirs}.bias"

    def norm(ours: str, theirs: str) -> None:
        pair(ours, theirs, scale="gamma", shift="beta")

    if a.tokenizer == "patch":
        pair("tokenizer/projection", "tokenizer.conv_layers.0.0")
    else:
        for i in range(a.num_conv_layers):
            pair(f"tokenizer/convolution_{i}", f"tokenizer.conv_layers.{i}.0", bias=a.conv_bias)
    if a.pooling == "class_token":
        keys["class_token/token"] = "classifier.class_emb"
    elif a.pooling == "sequence":
        pair("pool/score", "classifier.attention_pool")
    if a.positional_embedding == "learnable":
        keys["positional_embedding/table"] = "classifier.positional_emb"
    for i in range(a.num_layers):
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


def import_weights(
    tensors: Mapping[str, np.ndarray], network: keras.Model, architecture: Architecture, *, image_shape: tuple[int, ...]
) -> None:
    """Put the tensors of a checkpoint into a model. Positions of another grid are interpolated.

    The authors' code makes models of square images only. So a square number of positions is that of a square grid.

    Raises:
        WeightsError: tensors are left over on either side, or shapes differ.
    """
    left, keys, problems = dict(tensors), torch_keys(architecture), []
    values: dict[str, np.ndarray] = {}
    if architecture.positional_embedding == "sinusoidal" and "classifier.positional_emb" in left:
        table = left.pop("classifier.positional_emb")  # the authors do not train it, and our layer computes it
        if not _is_table(table):
            problems.append(f"shapes differ: classifier.positional_emb {table.shape}, needed (1, tokens, width)")
        elif not np.allclose(table, sinusoidal_table(*table.shape[1:]), atol=1e-4):
            problems.append("classifier.positional_emb has learned positions: use --positional-embedding learnable")
    for variable in network.trainable_variables:
        path = variable.path.removeprefix(f"{network.name}/")
        if (key := keys.get(path)) is None:
            problems.append(f"not in the authors' models: {path} {tuple(variable.shape)}")
            continue
        if key not in left:
            problems.append(f"missing in the checkpoint: {key} (for {path}, {tuple(variable.shape)})")
            continue
        value = _oriented(left.pop(key))
        if path == "positional_embedding/table" and _is_table(value):
            value = _fitted_positions(value, architecture, image_shape)
        if value.shape != tuple(variable.shape):
            problems.append(f"shapes differ: {key} {value.shape}, {path} {tuple(variable.shape)}")
        values[path] = value
    problems += [f"left over in the checkpoint: {key} {tuple(value.shape)}" for key, value in left.items()]
    if problems:
        raise WeightsError("\n  ".join([f"{len(problems)} tensors do not fit:", *problems]))
    for variable in network.trainable_variables:
        variable.assign(values[variable.path.removeprefix(f"{network.name}/")])


def _is_table(value: np.ndarray) -> bool:
    """Whether an array has the shape of positions: (1, tokens, width), with a token."""
    return value.ndim == 3 and value.shape[0] == 1 and value.size > 0


def _fitted_positions(table_1nd: np.ndarray, architecture: Architecture, image_shape: tuple[int, ...]) -> np.ndarray:
    """Positions for the images, as they are where they are of the images' grid."""
    rows, columns = token_grid(architecture, *image_shape[:2])[-1]
    count = table_1nd.shape[1] - (architecture.pooling == "class_token")
    square = math.isqrt(count) ** 2 == count
    if count == 0 or (count == rows * columns and (rows == columns or not square)):
        return table_1nd
    return fit_positions(table_1nd, architecture, image_shape)


def _oriented(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
