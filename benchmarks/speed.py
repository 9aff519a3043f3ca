"""Training speed against the Keras example and vit-pytorch, and the cost of augmentation: `make bench`.

Every contender runs in its own process. Turns alternate, so that a drift of the machine's speed affects all alike. A
turn's figure is the median of its steps. Contenders of the same turn are compared, and quoted as median (lowest to
highest). PyTorch runs eagerly, with its images' channels last, and compiled.

Augmentation is measured twice. First: the processor time to make a batch, alone, as a share of a step. Second: the time
of `fit` with real batches, made on a thread beside the step, over its time with one repeated batch.

The file has the results of each kind of machine. Those of other kinds stay. Each group of contenders has the commit,
the turns and the rate of a matrix product of its own measurement. What has become slower than the committed result of
the same kind is named.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cct.entry import entry_point
from cct.runtime.machine import cpu_cores, cpu_info

HERE = Path(__file__).parent
OURS, BF16 = "ours-tensorflow", "mixed_bfloat16"
PRECISIONS = ("float32", BF16)
TORCH = {
    "vit-pytorch": "vit-pytorch",
    "vit-pytorch, channels last": "vit-pytorch-channels-last",
    "vit-pytorch, compiled": "vit-pytorch-compiled",
}


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
SLOWER = 0.9  # of the committed speed: less is named
# Target for each of `contender.AUGMENTATIONS`: its largest share of a step.
TARGETS = {"default": 0.15, "randaugment": 0.30, "all": None}


def ask(
    kind: str, name: str, precision: str, *, batch: int, steps: int, python: str, options: Iterable[str] = ()
) -> dict:
    """Run one process of `contender.py`, and return its JSON."""
    words = [python if kind.startswith("vit-pytorch") else sys.executable, str(HERE / "contender.py"), kind, name]
    words += [precision, str(batch), str(steps), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind} {name} {precision} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# By the flag of the widest of them that a CPU has. Names such as "AMD EPYC" leave open which it is.
INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 BF16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sve2": "SVE2",
    "asimd": "NEON",
}


def widest(flags: Iterable[str]) -> str:
    """The instruction set that decides how fast a CPU is."""
    return next((title for flag, title in INSTRUCTIONS.items() if flag in flags), "no vectors that this file knows")


def here() -> dict:
    """The machine, Python version and commit of this measurement."""
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    described = cpu_info()
    cpu = f"{cpu_cores()} cores of {described['model']} ({widest(described['flags'])})"
    return {"cpu": cpu, "flags": described["flags"], "python": platform.python_version(), "commit": commit}


def spread(values: Iterable[float]) -> list[float]:
    """Median, lowest, highest."""
    ordered = sorted(values)
    return [round(value, 3) for value in (statistics.median(ordered), ordered[0], ordered[-1])]


def rates() -> dict[str, int]:
    """GFLOP/s of a matrix product in each precision."""
    found = {}
    for precision in PRECISIONS:
        product = ask("matmul", "-", precision, batch=0, steps=0, python=sys.executable)
        found[precision] = round(product["size"] / statistics.median(product["seconds"]))
    return found


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


def slower(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What is less than 0.9 times as fast as it was, in words."""
    earlier = {(row["model"], row["precision"]): row for row in before.get("groups", [])}
    found = []
    for row in now["groups"]:
        was = earlier.get((row["model"], row["precision"]))
        if not was:
            continue
        speed = row["images_per_second"]["ours"] / was["images_per_second"]["ours"]
        ratios = {title: row["ratio"][title][0] / was["ratio"][title][0] for title in {*row["ratio"]} & {*was["ratio"]}}
        for what, ratio in {"images/s": speed, **{f"ratio to {title}": one for title, one in ratios.items()}}.items():
            if ratio < SLOWER:
                found.append(f"{row['model']}, {row['precision']}: {what} is {ratio:.2f} times the committed one")
    return found


def replaced(rows: Iterable[Mapping[str, Any]], measured: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with those of a new measurement in place of the older ones of the same model and precision."""
    return [*{(row["model"], row["precision"]): row for row in (*rows, *measured)}.values()]


def has_torch(python: str) -> bool:
    """Whether a Python can run vit-pytorch."""
    # vit_pytorch is not imported: it needs torchvision, and `contender.py` does not.
    code = "import importlib.util, torch; raise SystemExit(not importlib.util.find_spec('vit_pytorch'))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["steps", "augmentation"], help="leave the other part as it was measured")
    models = dict.fromkeys(group.model for group in GROUPS)
    parser.add_argument("--model", choices=models, help="only the steps of this model; others stay as they were")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--out", type=Path, default=HERE / "results/speed.json")
    arguments = parser.parse_args()
    if arguments.model and arguments.only == "augmentation":
        parser.error("--model chooses steps, and --only augmentation leaves them out: give one of the two")
    machine = here()
    facts = {name: machine.pop(name) for name in ("commit", "python")}  # of what is measured now, not of what stays
    content = read_machines(arguments.out, "speed")
    before = content["machines"].get(machine["cpu"], {})
    report = before | machine
    print(f"{machine['cpu']}: {', '.join(machine['flags'])}")
    if arguments.only != "augmentation":
        gflops = rates()
        print(f"a matrix product: {gflops} GFLOP/s")
        torch = has_torch(arguments.torch_python)
        if not torch:
            print(f"{arguments.torch_python} has no torch with vit-pytorch, so only the Keras example is compared")
        measured = [
            measure(group, turns=arguments.turns, python=arguments.torch_python, torch=torch)
            | facts
            | {"matmul_gflops": gflops[group.precision]}
            for group in GROUPS
            if arguments.model in (None, group.model)
        ]
        report["groups"] = replaced(before.get("groups", []) if arguments.model else [], measured)
        print("\n".join(slower(report, before)) or "Nothing is slower than the committed result of this kind.")
    if arguments.only != "steps" and not arguments.model:
        report["augmentation"] = augmentation(arguments.turns, 128) | facts
    content["machines"][machine["cpu"]] = report
    write(arguments.out, content)


def read_machines(path: Path, kind: str) -> dict[str, Any]:
    """The results of all kinds of machines in a file; none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"kind": kind, "machines": {}}


def write(path: Path, report: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
