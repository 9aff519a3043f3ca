"""Whether two runs ended in the same files, and if not, what differs: file by file, by number and field.

Nothing here imports Keras: weights are read as the HDF5 file that they are in.
"""

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct import machine
from cct.errors import CCTError
from cct.params import read_yaml


class Verdict(IntEnum):
    """How two files, or all of them, compare; the worse is the larger."""

    IDENTICAL = 0
    WITHIN = 1
    DIFFERENT = 2


MOVED_PIXELS = 0.1  # share of a figure that numbers within the tolerance may change
# What `cct verify` ends with.
EXIT = {Verdict.IDENTICAL: 0, Verdict.WITHIN: 3, Verdict.DIFFERENT: 1}


class Finding(NamedTuple):
    """How one file compares."""

    name: str
    verdict: Verdict
    text: str


def compare(expected: Path, found: Path, names: list[str], *, tolerance: float) -> list[Finding]:
    """Compare files, and folders file by file, of two directories.

    Args:
        expected: one directory.
        found: the other.
        names: of files and folders, relative to both.
        tolerance: largest absolute difference of numbers that counts as within tolerances: of weights, of losses and
            rates in CSV and JSON. Data have none, and of a figure less than a tenth may change.

    Returns:
        A finding for each file that is on either side, in the order of `names`.
    """
    findings = []
    for name in names:
        for file in sorted({*_files(expected, name), *_files(found, name)}):
            findings.append(_compare(file, expected / file, found / file, tolerance))
    # A figure is drawn from the tables: numbers within the tolerance may move its lines, but equal ones may not.
    plain = all(f.verdict is Verdict.IDENTICAL for f in findings if not f.name.endswith(".png"))
    return [f._replace(verdict=Verdict.DIFFERENT) if plain and f.verdict is Verdict.WITHIN else f for f in findings]


def summary(findings: list[Finding], differences: list[str], tolerance: float) -> str:
    """What the findings come to, and whether the machines excuse it."""
    count = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in Verdict}
    if count[Verdict.IDENTICAL] == len(findings):
        return f"all {len(findings)} files are identical"
    text = (
        f"{count[Verdict.IDENTICAL]} of {len(findings)} files are identical, {count[Verdict.WITHIN]} differ within the "
        f"tolerance of {tolerance:g}, {count[Verdict.DIFFERENT]} beyond it"
    )
    if differences:
        return "\n  ".join([f"{text}\nthe machines differ, which excuses other bits:", *differences])
    return f"{text}\nthe machines are of the same kind: equal bits were to be expected"


def outputs(top: Path) -> list[str]:
    """All that the stages of `dvc.yaml` write, relative to `top`, in the order of the stages."""
    stages = read_yaml(top / "dvc.yaml")["stages"].values()
    return [name for stage in stages for name in written(stage)]


def written(stage: Mapping[str, Any]) -> list[str]:
    """The paths that a stage of `dvc.yaml` writes. One with options is a mapping of one key."""
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def machines(expected: Path, found: Path) -> list[str]:
    """What differs between the machines that two models were trained on, a line each; none where bits must be equal."""
    if not (expected.is_file() and found.is_file()):
        return []
    one, other = (trained_on(path) for path in (expected, found))
    if len(one) != 1 or len(other) != 1:
        return ["at least one of the models was trained on more than one kind of machine, or does not say on which"]
    return machine.differences(one[0], other[0])


def trained_on(path: Path) -> list[dict[str, Any]]:
    """The kinds of machine that a model file says it was trained on."""
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read("metadata.json")).get(machine.ORIGIN, {}).get("trained_on", [])
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise CCTError(f"{path} is not a model of this project: {error}") from error


def _files(top: Path, name: str) -> list[str]:
    path = top / name
    inside = (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    return [str(p.relative_to(top)) for p in inside]


def _compare(name: str, expected: Path, found: Path, tolerance: float) -> Finding:
    for path, side in ((expected, "only in the second"), (found, "only in the first")):
        if not path.is_file():
            return Finding(name, Verdict.DIFFERENT, side)
    one, other = expected.read_bytes(), found.read_bytes()
    if one == other:
        return Finding(name, Verdict.IDENTICAL, "identical")
    explain, allowed = EXPLAIN.get(expected.suffix, (_bytes, 0.0))
    try:
        differences = list(explain(one, other))
    except (ValueError, KeyError, OSError, EOFError, AttributeError, zipfile.BadZipFile, csv.Error) as error:
        return Finding(name, Verdict.DIFFERENT, f"differs, and one of the two cannot be read: {error}")
    if not differences:
        return Finding(name, Verdict.WITHIN, "other bytes, the same content")
    largest = max(differences, key=lambda difference: difference.size)
    first = largest if math.isinf(largest.size) else differences[0]
    within = largest.size <= (0.0 if name.startswith("data/") else tolerance * allowed)
    text = first.text
    if math.isfinite(largest.size) and largest.size > 0:
        text += f"; largest difference {largest.size:.3g}" + (f", {largest.text}" if largest is not first else "")
    return Finding(name, Verdict.WITHIN if within else Verdict.DIFFERENT, text)


class Difference(NamedTuple):
    """Where two files differ, and by how much; infinitely where no tolerance can excuse it."""

    text: str
    size: float


def _bytes(one: bytes, other: bytes) -> Iterator[Difference]:
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


def _npy(one: bytes, other: bytes) -> Iterator[Difference]:
    first, second = (np.load(io.BytesIO(content), allow_pickle=False) for content in (one, other))
    yield from _array("array", first, second)


def _keras(one: bytes, other: bytes) -> Iterator[Difference]:
    import h5py

    with zipfile.ZipFile(io.BytesIO(one)) as first, zipfile.ZipFile(io.BytesIO(other)) as second:
        if first.read("config.json") != second.read("config.json"):
            yield from _json(first.read("config.json"), second.read("config.json"))
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


def _json(one: bytes, other: bytes) -> Iterator[Difference]:
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
        # The digest of the model says again what the model's own line says; any other text is no matter of rounding.
        size = 0.0 if path == "model.sha256" else math.inf
        yield Difference(f"{path}: {_short(one)} / {_short(other)}", size)


def _gap(one: float, other: float) -> float:
    """How far two numbers are apart; one that is no number is infinitely far from one that is."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return 0.0 if one == other else abs(one - other)


def _csv(one: bytes, other: bytes) -> Iterator[Difference]:
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
                yield Difference(f"line {line}, {column}: {_short(x)} / {_short(y)}", size)


def _png(one: bytes, other: bytes) -> Iterator[Difference]:
    from PIL import Image

    first, second = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in (one, other))
    if first.shape != second.shape:
        yield Difference(f"{first.shape[1]}x{first.shape[0]} / {second.shape[1]}x{second.shape[0]} pixels", math.inf)
    else:
        # How far a line moved is no measure; that most of the picture is another one is.
        unequal = float((first != second).any(axis=-1).mean())
        yield Difference(f"{unequal:.2%} of the pixels differ", 0.0 if unequal < MOVED_PIXELS else math.inf)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."


# By ending: what finds the differences, and by how much the tolerance counts. Data have none: 1 is not 2.
EXPLAIN = {
    ".npy": (_npy, 0.0),
    ".keras": (_keras, 1.0),
    ".json": (_json, 1.0),
    ".csv": (_csv, 1.0),
    ".png": (_png, 1.0),
}
