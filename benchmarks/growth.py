"""How the cost of a training step grows with the batch, the images' size, and the number of layers: `make growth`.

Each contender runs in its own process, in turns, as in `speed.py`. A row has the median of the steps of each turn, and
of the ratios of turns. Memory is the most that the process held at once during the steps, beyond what it held before
them. The arithmetic is three times the multiplications of a forward pass, at the rate of a large matrix product. Each
series has the commit, the turns and this rate of its own measurement.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from common import HERE, OURS, ask, has_torch, here, rates, read_machines, refuse_without_torch, spread, write

from cct.commands.arguments import whole_number
from cct.entry import entry_point
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_cost

MODEL, PRECISION = "cct_2_3x2", "float32"
CONTENDERS = {"ours": OURS, "vit-pytorch, channels last": "vit-pytorch-channels-last"}


class Point(NamedTuple):
    """One size of a step."""

    batch: int
    size: int = 32
    layers: int = 2


SERIES = {
    "batch": [Point(batch) for batch in (32, 64, 128, 256, 512)],
    "pixels": [Point(8, size) for size in (32, 64, 96, 128, 160, 192, 224)],
    "layers": [Point(64, layers=layers) for layers in (2, 4, 7, 10, 14)],
}


def measure(point: Point, *, gflops: float, turns: int, steps: int, contenders: dict[str, str], python: str) -> dict:
    """Seconds and bytes of a step of each contender."""
    fields = ModelParams(name=MODEL, num_layers=point.layers)
    cost = model_cost(resolve_architecture(fields), height=point.size, width=point.size, channels=3, classes=10)
    options = ["--size", str(point.size), "--layers", str(point.layers)]
    found: dict[str, list[dict]] = {title: [] for title in contenders}
    for _ in range(turns):
        for title, kind in contenders.items():
            sized = {"batch": point.batch, "steps": steps, "options": options}
            found[title].append(ask(kind, MODEL, PRECISION, python=python, **sized))
    seconds = {title: [statistics.median(one["seconds"]) for one in all_] for title, all_ in found.items()}
    work = 6 * point.batch * (cost.macs + cost.attention_macs) / 1e9
    row: dict[str, Any] = point._asdict() | {
        "tokens": cost.tokens,
        "gflop": round(work, 1),
        "arithmetic": round(work / gflops, 4),
        "seconds": {title: round(statistics.median(one), 4) for title, one in seconds.items()},
        "memory": {title: most_memory(all_) for title, all_ in found.items()},
    }
    row["ratio"] = {
        title: spread(b / a for a, b in zip(seconds["ours"], seconds[title], strict=True))
        for title in contenders
        if title != "ours"
    }
    print(
        f"batch {point.batch}, {point.size} pixels ({cost.tokens} tokens), {point.layers} layers: "
        + "; ".join(f"{title} {row['seconds'][title]:.3f} s, {gigabytes(row['memory'][title])}" for title in found)
        + f"; arithmetic {row['arithmetic']:.3f} s",
        flush=True,
    )
    return row


def most_memory(found: list[dict]) -> int | None:
    """The most of all turns, in bytes; None where the system does not tell."""
    known = [one["memory"] for one in found if one["memory"] is not None]
    return max(known, default=None)


def gigabytes(memory: int | None) -> str:
    return "memory unknown" if memory is None else f"{memory / 1e9:.2f} GB"


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SERIES, help="leave the other series as they were measured")
    parser.add_argument("--turns", type=whole_number(1000), default=3)
    parser.add_argument("--steps", type=whole_number(1000), default=4)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--out", type=Path, default=HERE / "results/growth.json")
    arguments = parser.parse_args()
    machine, content = here(), read_machines(arguments.out, "growth")
    chosen = {name: points for name, points in SERIES.items() if arguments.only in (None, name)}
    contenders = CONTENDERS
    if not has_torch(arguments.torch_python):
        earlier = content["machines"].get(machine["cpu"], {"series": {}})["series"]
        rows = [row for name in chosen.keys() & earlier.keys() for row in earlier[name]["rows"]]
        titles = (title for row in rows for title in row["ratio"])
        refuse_without_torch(titles, out=arguments.out, python=arguments.torch_python)
        print(f"{arguments.torch_python} has no torch with vit-pytorch, so nothing is compared")
        contenders = {"ours": OURS}
    rate = rates()[PRECISION]
    facts = {name: machine.pop(name) for name in ("commit", "python")}  # of what is measured now, not of what stays
    facts |= {"matmul_gflops": rate, "turns": arguments.turns, "steps": arguments.steps}
    report = content["machines"].get(machine["cpu"], {"series": {}}) | machine
    report |= {"model": MODEL, "precision": PRECISION}
    content["machines"][machine["cpu"]] = report
    options = {"turns": arguments.turns, "steps": arguments.steps, "python": arguments.torch_python}
    for name, points in chosen.items():
        rows = [measure(point, gflops=rate, contenders=contenders, **options) for point in points]
        report["series"][name] = facts | {"rows": rows}
        write(arguments.out, content)  # what is measured stays if the rest is interrupted


if __name__ == "__main__":
    sys.exit(main())
