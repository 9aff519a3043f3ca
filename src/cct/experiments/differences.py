"""Differences between two files, with their places and sizes.

Nothing here imports Keras: weights are read from the HDF5 file directly.
"""

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

MOVED_PIXELS = 0.1  # share of a figure's pixels that numbers within the tolerance may change


class Difference(NamedTuple):
    """A difference between two files. Its size is infinite if no tolerance can excuse it."""

    text: str
    size: float


def byte_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    """The first byte at which two unequal files differ."""
    shorter = min(len(one), len(other))
    unequal = np.flatnonzero(np.frombuffer(one[:shorter], np.uint8) != np.frombuffer(other[:shorter], np.uint8))
    yield Difference(f"differs from byte {int(unequal[0]) if len(unequal) else shorter:,} on", math.inf)


def _array(name: str, one: np.ndarray, other: np.ndarray) -> Iterator[Difference]:
    if one.shape != other.shape or one.dtype != other.dtype:
        yield Difference(f"{name}: {one.dtype} {one.shape} / {other.dtype} {other.shape}", math.inf)
    elif one.dtype.kind not in "biuf":
        if (one != other).any():
            yield Difference(f"{name}: other values", math.inf)
    elif one.tobytes() != other.tobytes():
        gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
        count = int((one != other).sum())
        yield Difference(
            f"{name}: {count:,} of {one.size:,} numbers differ", float(np.nan_to_num(gap, nan=np.inf).max())
        )


def npy_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    first, second = (np.load(io.BytesIO(content), allow_pickle=False) for content in (one, other))
    yield from _array("array", first, second)


def keras_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    import h5py

    with zipfile.ZipFile(io.BytesIO(one)) as first, zipfile.ZipFile(io.BytesIO(other)) as second:
        if first.read("config.json") != second.read("config.json"):
            yield from json_differences(first.read("config.json"), second.read("config.json"))
        weights = []
        for file in (first, second):
            with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as content:
                found: dict[str, np.ndarray] = {}
                content.visititems(lambda name, item, found=found: _collect(name, item, found))
                weights.append(found)
    for name in sorted({*weights[0], *weights[1]}):
        if name not in weights[0] or name not in weights[1]:
            yield Difference(f"weights {name}: only in one", math.inf)
        else:
            yield from _array(f"weights {name}", weights[0][name], weights[1][name])


def _collect(name: str, item: Any, found: dict[str, np.ndarray]) -> None:
    if hasattr(item, "shape"):
        found[name] = item[()]


def json_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    yield from _values("", json.loads(one), json.loads(other))


def _values(path: str, one: Any, other: Any) -> Iterator[Difference]:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key in one and key in other:
                yield from _values(f"{path}.{key}".strip("."), one[key], other[key])
            else:
                yield Difference(f"{path}.{key}".strip(".") + ": only in one", math.inf)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from _values(f"{path}[{index}]", *pair)
    elif numbers and one != other:
        if size := _gap(one, other):
            yield Difference(f"{path}: {one} / {other}", size)
    elif one != other:
        # The model file has its own finding, so its digest does not count. Other texts do not differ by rounding.
        size = 0.0 if path == "model.sha256" else math.inf
        yield Difference(f"{path}: {_shorten(one)} / {_shorten(other)}", size)


def _gap(one: float, other: float) -> float:
    """The distance between two numbers. It is infinite if only one of them is NaN."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return 0.0 if one == other else abs(one - other)


def csv_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    first, second = (list(csv.reader(content.decode().splitlines())) for content in (one, other))
    if len(first) != len(second) or first[:1] != second[:1]:
        yield Difference(f"{len(first):,} / {len(second):,} lines, or other columns", math.inf)
        return
    for line, (a, b) in enumerate(zip(first[1:], second[1:], strict=True), 2):
        for column, x, y in zip(first[0], a, b, strict=True):
            if x != y:
                try:
                    size = _gap(float(x), float(y))
                except ValueError:
                    size = math.inf
                yield Difference(f"line {line}, {column}: {_shorten(x)} / {_shorten(y)}", size)


def png_differences(one: bytes, other: bytes) -> Iterator[Difference]:
    from PIL import Image

    first, second = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in (one, other))
    if first.shape != second.shape:
        yield Difference(f"{first.shape[1]}x{first.shape[0]} / {second.shape[1]}x{second.shape[0]} pixels", math.inf)
    else:
        # The share of changed pixels is the measure, not the distance that a line moved.
        unequal = float((first != second).any(axis=-1).mean())
        yield Difference(f"{unequal:.2%} of the pixels differ", 0.0 if unequal < MOVED_PIXELS else math.inf)


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."
