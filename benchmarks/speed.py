"""Training speed against the Keras example and vit-pytorch: `make bench`.

Every contender is a process of its own; turns alternate, so that a machine whose speed drifts is fair to all. A turn's
figure is the median of its steps; what is compared are pairs of the same turn, quoted as median (lowest to highest).
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cct import machine

HERE = Path(__file__).parent
OURS, BF16 = "ours-tensorflow", "mixed_bfloat16"
# What is compared: a title, then (kind, model, precision) twice; the ratio is the second's time over the first's.
PAIRS = [
    ("the Keras example", (OURS, "keras_example", "float32"), ("example-tensorflow", "keras_example", "float32")),
    ("vit-pytorch, cct_2_3x2", (OURS, "cct_2_3x2", "float32"), ("vit-pytorch", "cct_2_3x2", "float32")),
    ("our own float32, cct_2_3x2", (OURS, "cct_2_3x2", BF16), (OURS, "cct_2_3x2", "float32")),
]


def turn(contender: tuple[str, str, str], *, batch: int, steps: int, python: str) -> dict:
    """One process: its number of parameters and the median seconds of a step."""
    kind, name, precision = contender
    words = [python if kind == "vit-pytorch" else sys.executable, str(HERE / "contender.py"), kind, name, precision]
    done = subprocess.run([*words, str(batch), str(steps)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(contender)} failed:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return {"size": result["size"], "seconds": statistics.median(result["seconds"])}


def here() -> dict:
    """Where this was measured."""
    versions = {}
    for package in ("tensorflow", "keras", "jax", "torch", "vit-pytorch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    cpu = f"{machine.cores()} cores of {machine.cpu()['model']}"
    return {"cpu": cpu, "python": platform.python_version(), "versions": versions, "commit": commit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--out", type=Path, default=HERE / "results/speed.json")
    arguments = parser.parse_args()
    options = {"batch": arguments.batch, "steps": arguments.steps, "python": arguments.torch_python}
    rate = turn(("matmul", "-", "float32"), **options)
    report = here() | {"matmul_gflops": round(rate["size"] / rate["seconds"]), "batch": arguments.batch, "pairs": []}
    for title, first, second in PAIRS:
        turns = [[turn(contender, **options) for contender in (first, second)] for _ in range(arguments.turns)]
        ratios = sorted(b["seconds"] / a["seconds"] for a, b in turns)
        ours, theirs = ([pair[side]["seconds"] for pair in turns] for side in (0, 1))
        row = {
            "against": title,
            "ours": " ".join(first),
            "other": " ".join(second),
            "parameters": [turns[0][0]["size"], turns[0][1]["size"]],
            "images_per_second": [round(arguments.batch / statistics.median(side)) for side in (ours, theirs)],
            "ratio": [round(r, 2) for r in (statistics.median(ratios), ratios[0], ratios[-1])],
        }
        report["pairs"].append(row)
        speeds = "{:,} against {:,} images/s".format(*row["images_per_second"])
        print(f"{title:28} {row['ratio'][0]:.2f} times ({row['ratio'][1]:.2f} to {row['ratio'][2]:.2f}), {speeds}")
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
