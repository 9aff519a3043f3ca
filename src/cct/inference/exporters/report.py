"""The report of an export: a table for people, JSON for programs, metrics for a tracker."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cct.files import write_atomically

REPORT = Path("reports/export.json")
SAME = ("model", "data", "machine", "versions")  # rows of two reports with these in common can be compared
HEADER = f"{'':20} {'bytes':>12} {'difference':>10} {'labels':>7} {'accuracy':>9} {'batch 1':>10} {'batch 128':>11}"


def line(name: str, row: Mapping[str, Any]) -> str:
    """One row of the table: size, largest difference from Keras, labels that differ, accuracy, latencies."""
    differ = ("", "")
    if "labels_differ" in row:
        differ = f"{row['largest_difference']:.1e}", str(row["labels_differ"])
    right = "" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
    one, many = (f"{row[f'latency_{size}_ms']:,.1f} ms" for size in (1, 128))
    return f"{name:20} {row['bytes']:12,} {differ[0]:>10} {differ[1]:>7} {right:>9} {one:>10} {many:>11}".rstrip()


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report. Rows of an earlier one stay if it is of the same model, data, machine and versions."""
    before = _earlier(path)
    rows = before["rows"] if all(before.get(name) == report[name] for name in SAME) else {}
    whole = {**report, "rows": rows | report["rows"]}
    write_atomically(path, (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode())


def _earlier(path: Path) -> dict[str, Any]:
    """The earlier report; empty if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) and isinstance(content.get("rows"), dict) else {}
    except (OSError, ValueError):
        return {}


def metrics(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The numbers in the rows, by the name that a tracker gets: "export/onnx_float32/latency_1_ms" and so on."""
    return {
        f"export/{name}/{key}": float(value)
        for name, row in rows.items()
        for key, value in row.items()
        if isinstance(value, int | float)
    }
