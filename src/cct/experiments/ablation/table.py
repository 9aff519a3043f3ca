"""An ablation as Markdown."""

from collections.abc import Mapping
from typing import Any


def ablation_table(summary: Mapping[str, Any]) -> str:
    """An ablation as Markdown."""
    base, params, level = summary["base"], summary["params"], f"{100 * summary['confidence']:g} %"
    seeds = len(base["experiments"])
    several = summary["seed_deviation"] is not None
    lines = [
        f"# {summary['ablation']}",
        "",
        f"`{params['model']['name']}` on {100 * params['preprocess']['train_fraction']:g} % of {summary['data']}, "
        f"{params['train']['epochs']} epochs: **{percent(base['test_accuracy'])} %** of {summary['test_images']:,} "
        f"test images ({percent(base['test_accuracy_low'])} to {percent(base['test_accuracy_high'])}), "
        f"{seeds} seed{'s' if seeds > 1 else ''}. Each row is the base with one change.",
        "",
        f"| group | change | test accuracy | difference, points ({level} interval) | validation | training |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in summary["changes"]:
        points = f"{row['points']:+.2f} ({row['points_low']:+.2f} to {row['points_high']:+.2f})"
        sure = row["points_low"] > 0 or row["points_high"] < 0
        lines.append(
            f"| {row['group']} | {change_label(row)} | {percent(row['test_accuracy'])} % | "
            f"{f'**{points}**' if sure else points} | {percent(row['val_accuracy'])} % | {training_time(row)} |"
        )
    degrees = summary["seed_degrees_of_freedom"]
    noise = (
        f", and another seed (standard deviation {summary['seed_deviation']:.2f} points, {degrees} degrees of freedom)"
        if several
        else ""
    )
    alone = "" if several else " Every variant has one seed: what another one would change is not in it."
    of_base = f" Base: {training_time(base)} of training." if training_time(base) else ""
    chance = round((1 - summary["confidence"]) * len(summary["changes"]), 1)
    lines += [
        "",
        f"The interval covers other test images (paired){noise}.{alone} Bold: it excludes 0; of "
        f"{len(summary['changes'])} changes that do nothing, about {chance:g} would be bold by chance, several at once "
        f"or none, because all have the same base.{of_base}",
    ]
    if summary["missing"]:
        lines += ["", f"Not there: {', '.join(summary['missing'])}."]
    trained = summary["trained_on"][-1] if summary["trained_on"] else {}
    versions = [f"{name} {version}" for name, version in summary["packages"].items()]
    lines += [
        "",
        f"Commit {summary['commit'][:12]}; {summary['machine']['cpu']}, {summary['machine']['cores']} cores, "
        f"threads of an experiment: {trained.get('threads', 'unknown')}; Python {summary['machine']['python']}, "
        f"{', '.join(versions)}.",
    ]
    return "\n".join(lines) + "\n"


def change_label(row: Mapping[str, Any]) -> str:
    return row["name"].replace("-", " ")


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


def training_time(row: Mapping[str, Any]) -> str:
    return "" if row["train_seconds"] is None else f"{row['train_seconds']:.0f} s"
