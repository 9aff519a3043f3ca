"""A comparison of the files of two runs, file by file."""

import csv
import math
import zipfile
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from cct.experiments.differences import (
    byte_differences,
    csv_differences,
    json_differences,
    keras_differences,
    npy_differences,
    png_differences,
)
from cct.models.metadata import read_metadata
from cct.runtime.machine import platform_differences


class Verdict(IntEnum):
    """The result of a comparison. A worse result is larger."""

    IDENTICAL = 0
    WITHIN = 1
    DIFFERENT = 2


# Exit codes of `cct verify`.
EXIT = {Verdict.IDENTICAL: 0, Verdict.WITHIN: 3, Verdict.DIFFERENT: 1}


class Finding(NamedTuple):
    """The result for one file."""

    name: str
    verdict: Verdict
    text: str


def compare_outputs(expected: Path, found: Path, names: list[str], *, tolerance: float) -> list[Finding]:
    """Compare the files of two directories. Folders are compared file by file.

    Args:
        expected: one directory.
        found: the other directory.
        names: files and folders, relative to both directories.
        tolerance: largest absolute difference that is within the tolerance, for weights, and for losses and rates in
            CSV and JSON. Data have no tolerance. Less than a tenth of a figure may change.

    Returns:
        A finding for each file in either directory, in the order of `names`.
    """
    findings = []
    for name in names:
        for file in sorted({*_files(expected, name), *_files(found, name)}):
            findings.append(_compare(file, expected / file, found / file, tolerance))
    # A figure is drawn from the tables. Numbers within the tolerance may move its lines, but equal numbers may not.
    plain = all(f.verdict is Verdict.IDENTICAL for f in findings if not f.name.endswith(".png"))
    return [f._replace(verdict=Verdict.DIFFERENT) if plain and f.verdict is Verdict.WITHIN else f for f in findings]


def summarize_findings(findings: list[Finding], differences: list[str] | None, tolerance: float) -> str:
    """A summary of the findings, and whether the machines, by `machine_differences`, excuse the differences."""
    count = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in Verdict}
    if count[Verdict.IDENTICAL] == len(findings):
        return f"all {len(findings)} files are identical"
    text = (
        f"{count[Verdict.IDENTICAL]} of {len(findings)} files are identical, {count[Verdict.WITHIN]} differ within the "
        f"tolerance of {tolerance:g}, {count[Verdict.DIFFERENT]} beyond it"
    )
    if differences is None:
        return text
    if differences:
        return "\n  ".join([f"{text}\nthe machines differ, which excuses other bits:", *differences])
    return f"{text}\nthe machines are of the same kind: equal bits were to be expected"


def machine_differences(expected: Path, found: Path) -> list[str] | None:
    """The differences between the machines that trained two models, a line each.

    Returns:
        An empty list if bits must be equal; None if one of the models is missing.
    """
    if not (expected.is_file() and found.is_file()):
        return None
    one, other = (trained_on(path) for path in (expected, found))
    if len(one) != 1 or len(other) != 1:
        return ["at least one of the models was trained on more than one kind of machine, or does not say on which"]
    return platform_differences(one[0], other[0])


def trained_on(path: Path) -> list[dict[str, Any]]:
    """The platform fingerprints that a model file has of the machines that trained it."""
    return read_metadata(path).get("trained_on", [])


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
    explain, allowed = EXPLAIN.get(expected.suffix, (byte_differences, 0.0))
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


# By suffix: the function that finds differences, and the factor of the tolerance. Data have no tolerance: 1 is not 2.
EXPLAIN = {
    ".npy": (npy_differences, 0.0),
    ".keras": (keras_differences, 1.0),
    ".json": (json_differences, 1.0),
    ".csv": (csv_differences, 1.0),
    ".png": (png_differences, 1.0),
}
