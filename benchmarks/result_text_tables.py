"""The tables of models of texts, from `trec.json` and `text_steps.json`."""

import statistics
from collections.abc import Mapping
from typing import Any

from result_files import markdown_table


def texts(measured: Mapping[str, Any]) -> str:
    """The table of models of texts on TREC's questions, from `trec.json`."""
    lines = []
    for case in measured["cases"].values():
        if not case["change"]:
            vectors = "GloVe" if case["embeddings"] else "learned"
            lines.append([f"`{case['model']}`", vectors, f"{case['runs'][0]['parameters']:,}", _of_seeds(case)])
    columns = ["model", "vectors of words", "parameters", "test accuracy, %"]
    versions = ", ".join(f"{name} {version}" for name, version in measured["packages"].items())
    machines = dict.fromkeys(case.get("machine", measured["machine"]) for case in measured["cases"].values())
    return f"{markdown_table(columns, lines)}\n\nMachine: {' and '.join(machines)}. Versions: {versions}."


def text_ablation(measured: Mapping[str, Any]) -> str:
    """The table of one change each to a model of texts, from `trec.json`. Seeds are paired with those of the base."""
    lines = []
    bases = {_base_of(case): _by_seed(case) for case in measured["cases"].values() if not case["change"]}
    for case in measured["cases"].values():
        base, found = bases.get(_base_of(case), {}), _by_seed(case)
        gains = [100 * (found[seed] - base[seed]) for seed in found if seed in base]
        if not case["change"] or not gains:
            continue
        error = f" ± {statistics.stdev(gains) / len(gains) ** 0.5:.1f}" if len(gains) > 1 else ""
        each = ", ".join(f"{gain:+.1f}" for gain in gains)
        lines.append([f"`{case['change']}`", _of_seeds(case), f"{statistics.fmean(gains):+.1f}{error}", each])
    columns = ["change", "test accuracy, %", "difference, points (± its standard error)", "of each seed"]
    return markdown_table(columns, lines)


def _base_of(case: Mapping[str, Any]) -> tuple[str, str | None]:
    """The model and the vectors that a case shares with the one without a change."""
    return case["model"], (case["embeddings"] or {}).get("sha256")


def _by_seed(case: Mapping[str, Any]) -> dict[int, float]:
    return {run["seed"]: run["test_accuracy"] for run in case["runs"]}


def _of_seeds(case: Mapping[str, Any]) -> str:
    count = len(case["runs"])
    sd = "" if case["std"] is None else f" ± {100 * case['std']:.1f}"
    return f"{100 * case['mean']:.1f}{sd} ({count} seed{'s' * (count > 1)})"


def text_steps(measured: Mapping[str, Any]) -> str:
    """The sentence on training steps with texts, from `text_steps.json`."""
    ours, plain = (measured["texts_per_second"][name] for name in ("ours", "plain Keras"))
    middle, least, most = measured["ratio"]
    return (
        f"`{measured['model']}` trains on {ours:,} texts of {measured['length']} words a second, a plain Keras model "
        f"of the same widths on {plain:,}: {middle:.2f} times ({least:.2f} to {most:.2f} in turns). Batches of "
        f"{measured['batch']}, {measured['vocabulary']:,} words, AdamW. Machine: {measured['cpu']}."
    )
