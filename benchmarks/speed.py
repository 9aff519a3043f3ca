"""Training speed against the Keras example and vit-pytorch, and the cost of augmentation: `make bench`.

Every contender runs in its own process. Turns alternate, so that a drift of the machine's speed affects all alike. A
turn's figure is the median of its steps. Pairs of the same turn are compared, and quoted as median (lowest to highest).
Augmentation is measured twice. First: the processor time to make a batch, alone, as a share of a step. Second: the time
of `fit` with real batches, made on a thread beside the step, over its time with one repeated batch.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from cct.runtime.machine import cpu_cores, cpu_info

HERE = Path(__file__).parent
OURS, BF16 = "ours-tensorflow", "mixed_bfloat16"
# Comparisons: a title, then (kind, model, precision) twice. The ratio is the second's time over the first's.
PAIRS = [
    ("the Keras example", (OURS, "keras_example", "float32"), ("example-tensorflow", "keras_example", "float32")),
    ("vit-pytorch, cct_2_3x2", (OURS, "cct_2_3x2", "float32"), ("vit-pytorch", "cct_2_3x2", "float32")),
    ("our own float32, cct_2_3x2", (OURS, "cct_2_3x2", BF16), (OURS, "cct_2_3x2", "float32")),
]
# Target for each of `contender.AUGMENTATIONS`: its largest share of a step.
TARGETS = {"default": 0.15, "randaugment": 0.30, "all": None}
PRECISIONS = ("float32", BF16)


def ask(contender: tuple[str, str, str], *, batch: int, steps: int, python: str) -> dict:
    """Run one process of `contender.py`, and return its JSON."""
    kind, name, precision = contender
    words = [python if kind == "vit-pytorch" else sys.executable, str(HERE / "contender.py"), kind, name, precision]
    done = subprocess.run([*words, str(batch), str(steps)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(contender)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def turn(contender: tuple[str, str, str], **options) -> dict:
    """Run one process: its number of parameters, median seconds of a step, and package versions."""
    result = ask(contender, **options)
    return result | {"seconds": statistics.median(result["seconds"])}


def here() -> dict:
    """The machine, Python version and commit of this measurement."""
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    cpu = f"{cpu_cores()} cores of {cpu_info()['model']}"
    return {"cpu": cpu, "python": platform.python_version(), "commit": commit}


def spread(values: Iterable[float]) -> list[float]:
    """Median, lowest, highest."""
    ordered = sorted(values)
    return [round(value, 3) for value in (statistics.median(ordered), ordered[0], ordered[-1])]


def steps(turns: int, options: dict) -> dict:
    """Measure the `PAIRS`."""
    rate = turn(("matmul", "-", "float32"), **options)
    report = here() | {"matmul_gflops": round(rate["size"] / rate["seconds"]), "batch": options["batch"], "pairs": []}
    for title, first, second in PAIRS:
        both = [[turn(contender, **options) for contender in (first, second)] for _ in range(turns)]
        ours, theirs = ([pair[side]["seconds"] for pair in both] for side in (0, 1))
        row = {
            "against": title,
            "ours": " ".join(first),
            "other": " ".join(second),
            "parameters": [both[0][0]["size"], both[0][1]["size"]],
            "versions": [both[0][0]["versions"], both[0][1]["versions"]],
            "images_per_second": [round(options["batch"] / statistics.median(side)) for side in (ours, theirs)],
            "ratio": [round(r, 2) for r in spread(b / a for a, b in zip(ours, theirs, strict=True))],
        }
        report["pairs"].append(row)
        speeds = "{:,} against {:,} images/s".format(*row["images_per_second"])
        print(f"{title:28} {row['ratio'][0]:.2f} times ({row['ratio'][1]:.2f} to {row['ratio'][2]:.2f}), {speeds}")
    return report


def augmentation(turns: int, options: dict) -> dict:
    """Measure the cost of making batches, as a share of the steps of cct_2_3x2."""
    report = here() | {"model": "cct_2_3x2", "batch": options["batch"], "rows": []}
    said = {p: [] for p in PRECISIONS}
    for _ in range(turns):
        for precision, results in said.items():
            results.append(ask(("augmentation-tensorflow", "cct_2_3x2", precision), **options))
    report["versions"] = said["float32"][0]["versions"]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["steps", "augmentation"], help="leave the other part as it was measured")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--out", type=Path, default=HERE / "results/speed.json")
    arguments = parser.parse_args()
    options = {"batch": arguments.batch, "steps": arguments.steps, "python": arguments.torch_python}
    report = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {"kind": "speed"}
    if arguments.only != "augmentation":
        report |= steps(arguments.turns, options)
        write(arguments.out, report)
    if arguments.only != "steps":
        report["augmentation"] = augmentation(arguments.turns, options)
        write(arguments.out, report)


def write(path: Path, report: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
