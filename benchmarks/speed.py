"""Training speed against the Keras example and vit-pytorch, and the cost of augmentation: `make bench`.

Every contender runs in its own process. Turns alternate, so that a drift of the machine's speed affects all alike. A
turn's figure is the median of its steps. Contenders of the same turn are compared, and quoted as median (lowest to
highest). PyTorch runs eagerly, with its images' channels last, and compiled.

Augmentation is measured twice. First: the processor time to make a batch, alone, as a share of a step. Second: the time
of `fit` with real batches, made on a thread beside the step, over its time with one repeated batch.

The file has the results of each kind of machine. Those of other kinds stay. Each group of contenders has the commit,
the turns and the rate of a matrix product of its own measurement. What has become slower than an earlier run in the
file is named. A group that was measured more than once has all runs in the file, until it is measured again.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common import (
    HERE,
    OURS,
    PRECISIONS,
    TORCH,
    ask,
    has_torch,
    here,
    rates,
    read_machines,
    spread,
    write,
)  # fmt: skip

from cct.commands.arguments import whole_number
from cct.entry import entry_point

STEPS = 12  # timed steps of a turn


class Group(NamedTuple):
    """Contenders that take turns: ours and others, by their titles."""

    model: str
    precision: str
    others: Mapping[str, str]
    batch: int = 128
    steps: int = STEPS


GROUPS = [
    Group("keras_example", "float32", {"the Keras example": "example-tensorflow"}),
    *(Group("cct_2_3x2", precision, TORCH) for precision in PRECISIONS),
    # A smaller batch: a step of this model takes eight times as long.
    *(Group("cct_7_3x1", precision, TORCH, batch=32, steps=4) for precision in PRECISIONS),
]
SLOWER = 0.9  # of the speed of an earlier run: less is named
# Target for each of `contender.AUGMENTATIONS`: its largest share of a step.
TARGETS = {"default": 0.15, "randaugment": 0.30, "all": None}


def measure(group: Group, *, turns: int, python: str, torch: bool) -> dict[str, Any]:
    """The speeds of a group's contenders, and how many times as fast as each other one ours is."""
    others = {title: kind for title, kind in group.others.items() if torch or not kind.startswith("vit-pytorch")}
    seconds: dict[str, list[float]] = {title: [] for title in ("ours", *others)}
    parameters, versions = {}, {}
    for _ in range(turns):
        for title, kind in {"ours": OURS, **others}.items():
            options = {"batch": group.batch, "steps": group.steps, "python": python}
            result = ask(kind, group.model, group.precision, **options)
            seconds[title].append(statistics.median(result["seconds"]))
            parameters[title], versions[title] = result["size"], result["versions"]
    row = {
        "model": group.model,
        "precision": group.precision,
        "batch": group.batch,
        "turns": turns,
        "steps": group.steps,
        "parameters": parameters,
        "versions": versions,
        "seconds": {title: [round(one, 6) for one in each] for title, each in seconds.items()},  # a step, by turn
        "images_per_second": {title: round(group.batch / statistics.median(s)) for title, s in seconds.items()},
        "ratio": {
            title: spread(b / a for a, b in zip(seconds["ours"], seconds[title], strict=True)) for title in others
        },
    }
    print(f"{group.model}, {group.precision}: {row['images_per_second']['ours']:,} images/s")
    for title, (middle, low, high) in row["ratio"].items():
        print(f"  {middle:.2f} times {title} ({low:.2f} to {high:.2f}), {row['images_per_second'][title]:,} images/s")
    return row


def augmentation(turns: int, batch: int) -> dict:
    """Measure the cost of making batches, as a share of the steps of cct_2_3x2."""
    report: dict[str, Any] = {"model": "cct_2_3x2", "batch": batch, "turns": turns, "steps": STEPS, "rows": []}
    said: dict[str, list[dict]] = {p: [] for p in PRECISIONS}
    for _ in range(turns):
        for precision, results in said.items():
            results.append(
                ask("augmentation-tensorflow", "cct_2_3x2", precision, batch=batch, steps=STEPS, python=sys.executable)
            )
    for precision, results in said.items():
        for name, target in TARGETS.items():
            found = [result["augmentations"][name] for result in results]
            constant = [statistics.median(each["constant"]) for each in found]
            row = {
                "augmentation": name,
                "precision": precision,
                "milliseconds_per_batch": round(1000 * statistics.median(each["making"] for each in found), 2),
                "milliseconds_per_step": round(1000 * statistics.median(constant), 1),
                "share": spread(each["making"] / step for each, step in zip(found, constant, strict=True)),
                "fit_ratio": spread(sum(each["real"]) / sum(each["constant"]) for each in found),
                "target": target,
            }
            report["rows"].append(row)
            share, ratio = ("{:.3g} ({:.3g} to {:.3g})".format(*row[key]) for key in ("share", "fit_ratio"))
            aim = f", to be at most {target:g}" if target else ""
            print(f"{name:12} {precision:15} {share} of a step{aim}; fit takes {ratio} times as long")
    return report


def key_of(row: Mapping[str, Any]) -> tuple[str, str, int]:
    """A new measurement replaces all earlier ones with its key."""
    return row["model"], row["precision"], row["batch"]


def slower(measured: Iterable[Mapping[str, Any]], earlier: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each figure below 0.9 times that of an earlier run, and for each group without one."""
    lines = []
    for row in measured:
        group = f"{row['model']}, {row['precision']}, batch {row['batch']}"
        # The first results do not say how many steps they had.
        runs = [was for was in earlier if key_of(was) == key_of(row) and was.get("steps", row["steps"]) == row["steps"]]
        if not runs:
            lines.append(f"{group}: there is no earlier result of this kind")
        for was in runs:
            ratios = {"images/s": _own_speed(row) / _own_speed(was)}
            for title in row["ratio"].keys() & was["ratio"].keys():
                ratios[f"ratio to {title}"] = row["ratio"][title][0] / was["ratio"][title][0]
            lines += [
                f"{group}: {what} is {ratio:.2f} times that of an earlier run"
                for what, ratio in ratios.items()
                if ratio < SLOWER
            ]
    return lines


def _own_speed(row: Mapping[str, Any]) -> float:
    """Our images a second, not rounded where the row has the seconds of its turns."""
    if "seconds" not in row:
        return row["images_per_second"]["ours"]
    return row["batch"] / statistics.median(row["seconds"]["ours"])


def replaced(rows: Iterable[Mapping[str, Any]], measured: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with those of a new measurement in place of older ones with their keys, unless those compare with more."""
    runs: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault(key_of(row), []).append(row)
    for row in measured:
        older = runs.get(key_of(row), [])
        if all(row["ratio"].keys() >= was["ratio"].keys() for was in older):
            runs[key_of(row)] = [row]
        else:
            print(
                f"{row['model']}, {row['precision']}: not stored, because an earlier result also compares with "
                "vit-pytorch: give --torch-python to replace it"
            )
    return [row for each in runs.values() for row in each]


def measured_groups(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the steps of the chosen groups."""
    groups = [group for group in GROUPS if arguments.model in (None, group.model)]
    python = arguments.torch_python
    torch = has_torch(python)
    if not torch:
        print(f"{python} has no torch with vit-pytorch, so only the Keras example is compared")
    gflops = rates()
    print(f"a matrix product: {gflops} GFLOP/s")
    return [
        measure(group, turns=arguments.turns, python=python, torch=torch) | {"matmul_gflops": gflops[group.precision]}
        for group in groups
    ]


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["steps", "augmentation"], help="leave the other part as it was measured")
    models = dict.fromkeys(group.model for group in GROUPS)
    parser.add_argument("--model", choices=models, help="only the steps of this model; others stay as they were")
    parser.add_argument("--turns", type=whole_number(1000), default=3)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--out", type=Path, default=HERE / "results/speed.json")
    arguments = parser.parse_args()
    if arguments.model and arguments.only == "augmentation":
        parser.error("--model chooses steps, and --only augmentation leaves them out: give one of the two")
    machine = here()
    facts = {name: machine.pop(name) for name in ("commit", "python")}  # of what is measured now, not of what stays
    content = read_machines(arguments.out, "speed")
    report = content["machines"].get(machine["cpu"], {}) | machine
    print(f"{machine['cpu']}: {', '.join(machine['flags'])}")
    if arguments.only != "augmentation":
        earlier = report.get("groups", [])
        measured = [row | facts for row in measured_groups(arguments)]
        report["groups"] = replaced(earlier, measured)
        print("\n".join(slower(measured, earlier)) or "Nothing is slower than an earlier result of this kind.")
    if arguments.only != "steps" and not arguments.model:
        report["augmentation"] = augmentation(arguments.turns, 128) | facts
    content["machines"][machine["cpu"]] = report
    write(arguments.out, content)


if __name__ == "__main__":
    sys.exit(main())
