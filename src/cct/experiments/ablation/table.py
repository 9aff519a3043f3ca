"""An ablation as Markdown."""

from collections.abc import Mapping
from typing import Any


def ablation_table(summary: Mapping[str, Any]) -> str:
    """The base, a table of the changes, and the meaning of the intervals.

    Args:
        summary: as `summarize` returns it.
    """
    level = f"{100 * summary['confidence']:g} %"
    lines = [
        f"# {summary['ablation']}",
        "",
        _base_line(summary),
        "",
        f"| group | change | test accuracy | difference, points ({level} interval) | validation | training |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_change_line, summary["changes"]),
        "",
        _interval_line(summary),
    ]
    if summary["missing"]:
        lines += ["", f"Missing: {', '.join(summary['missing'])}."]
    return "\n".join([*lines, "", _origin_line(summary)]) + "\n"


def is_certain(row: Mapping[str, Any]) -> bool:
    """Whether the interval of a change's difference excludes 0."""
    return row["points_low"] > 0 or row["points_high"] < 0


def change_label(row: Mapping[str, Any]) -> str:
    """The name of a change with spaces, for people."""
    return row["name"].replace("-", " ")


def percent(share: float) -> str:
    """A share of 1 in percent, with two decimals."""
    return f"{100 * share:.2f}"


def subject(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The model, and the data and epochs that it was trained with."""
    params = summary["params"]
    share = f"{100 * params['preprocess']['train_fraction']:g} %"
    return params["model"]["name"], f"{share} of {summary['data']}, {params['train']['epochs']} epochs"


def _base_line(summary: Mapping[str, Any]) -> str:
    base, (model, data) = summary["base"], subject(summary)
    seeds = len(base["experiments"])
    return (
        f"`{model}` on {data}: **{percent(base['test_accuracy'])} %** of {summary['test_examples']:,} test examples "
        f"({percent(base['test_accuracy_low'])} to {percent(base['test_accuracy_high'])}), "
        f"{seeds} seed{'s' if seeds > 1 else ''}. Each row is the base with one change."
    )


def _change_line(row: Mapping[str, Any]) -> str:
    points = f"{row['points']:+.2f} ({row['points_low']:+.2f} to {row['points_high']:+.2f})"
    return (
        f"| {row['group']} | {change_label(row)} | {percent(row['test_accuracy'])} % | "
        f"{f'**{points}**' if is_certain(row) else points} | {percent(row['val_accuracy'])} % | {_seconds(row)} |"
    )


def _interval_line(summary: Mapping[str, Any]) -> str:
    changes, deviation = len(summary["changes"]), summary["seed_deviation"]
    if deviation is None:
        sources = "The interval covers other test examples (paired), not other seeds: every variant has one."
    else:
        degrees = summary["seed_degrees_of_freedom"]
        sources = (
            "The interval covers other test examples (paired) and other seeds (standard deviation "
            f"{deviation:.2f} points, {degrees} degrees of freedom)."
        )
    chance = round((1 - summary["confidence"]) * changes, 1)
    base = f" Training the base takes {_seconds(summary['base'])}." if _seconds(summary["base"]) else ""
    return (
        f"{sources} Bold: it excludes 0. Of {changes} changes without an effect, about {chance:g} would be bold by "
        f"chance. All are compared with one base, so several can be at once, or none.{base}"
    )


def _origin_line(summary: Mapping[str, Any]) -> str:
    trained = summary["trained_on"][-1] if summary["trained_on"] else {}
    machine, versions = summary["machine"], [f"{name} {version}" for name, version in summary["packages"].items()]
    return (
        f"Commit {summary['commit'][:12]}; {machine['cpu']}, {machine['cores']} cores, threads of an experiment: "
        f"{trained.get('threads', 'unknown')}; Python {machine['python']}, {', '.join(versions)}."
    )


def _seconds(row: Mapping[str, Any]) -> str:
    return "" if row["train_seconds"] is None else f"{row['train_seconds']:.0f} s"
