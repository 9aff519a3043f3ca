"""Images a second of a `.keras` file and of its exports, as `cct.load` computes them.

Each measurement has its own process. Turns alternate, so that a drift of the machine's speed affects all alike. A
turn's figure is the median of its calls. Ratios compare the files of one turn: median (lowest to highest). Processor
time is that of all threads: it says what a call costs where other processes share the machine.

The file has the results of each model, with the machine, versions and turns of its own measurement. Models that are
measured again replace their earlier results one by one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contender
import numpy as np
from common import HERE, ask, has_torch, here, read_earlier, refuse_without_torch, spread, write

from cct.commands.arguments import whole_number
from cct.entry import entry_point
from cct.errors import CCTError
from cct.inference.exporters.run import library_versions

BATCHES = (1, 256)
FILES = {"keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}
NAMES = ("cct_2_3x2", "cct_7_3x1")  # with random weights, beside the demo's model


def calls(path: Path) -> dict[str, list[float]]:
    """What `timed_calls` finds for each batch, of one file in this process."""
    import cct

    model, generator = cct.load(path), np.random.default_rng(0)
    return {
        str(batch): contender.timed_calls(
            model.predict_arrays, generator.integers(0, 256, (batch, *model.reader.shape), np.uint8)
        )
        for batch in BATCHES
    }


def torch_calls(name: str, python: str) -> tuple[dict[str, list[float]], dict[str, str]]:
    """The same of vit-pytorch's model of this name, and the versions of its packages."""
    options = {"steps": 0, "python": python}
    said = {str(batch): ask("vit-pytorch-predict", name, "float32", batch=batch, **options) for batch in BATCHES}
    versions = said[str(BATCHES[0])]["versions"]
    return (
        {batch: one["calls"] for batch, one in said.items()},
        {package: versions[package] for package in ("torch", "vit_pytorch")},
    )


def random_model(name: str, path: Path) -> None:
    """Write a named model for images of 32x32 with random weights."""
    from cct.models.architectures import ModelParams, resolve_architecture
    from cct.models.build import build_model
    from cct.models.saving import save_model

    model = build_model(resolve_architecture(ModelParams(name=name)), image_shape=(32, 32, 3), classes=10)
    facts = {
        "task": "image_classification",
        "data": {"name": "random", "digest": ""},
        "classes": [str(k) for k in range(10)],
        "input": {"shape": [32, 32, 3], "resize": "crop", "background": "white"},
        "temperature": 1.0,
        "set_thresholds": [0.0] * 99,
        "trained_on": [{"backend": "tensorflow"}],
    }
    save_model(model, path, facts=facts)


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def rate(batch: int, seconds: list[float]) -> float:
    """Images a second, of the median call."""
    return round(batch / statistics.median(seconds), 1)


def measure(folder: Path, name: str, *, turns: int, torch_python: str | None) -> dict:
    """The versions of one model's libraries, and its rows by batch: images a second of each file, ratio to Keras."""
    found, versions = [], library_versions()
    for _ in range(turns):
        turn = {
            title: json.loads(run(__file__, "--calls", str(folder / file)).splitlines()[-1])
            for title, file in FILES.items()
        }
        if torch_python and name in NAMES:
            turn["vit-pytorch"], own = torch_calls(name, torch_python)
            versions |= own
        found.append(turn)
    rows = {}
    for batch in map(str, BATCHES):
        rows[batch] = {
            name: {
                "images_per_second": rate(int(batch), [turn[name][batch][0] for turn in found]),
                "times_keras": spread(turn["keras"][batch][0] / turn[name][batch][0] for turn in found),
                "images_per_processor_second": rate(int(batch), [turn[name][batch][1] for turn in found]),
                "times_keras_in_processor_time": spread(
                    turn["keras"][batch][1] / turn[name][batch][1] for turn in found
                ),
            }
            for name in found[0]
        }
    return {"versions": versions, "batches": rows}


def models_of(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of each model in a file, each with its conditions. Older files have these once, for all models."""
    if "versions" not in content:
        return dict(content.get("models", {}))
    shared = {name: value for name, value in content.items() if name not in ("kind", "models")}
    return {name: shared | {"batches": batches} for name, batches in content["models"].items()}


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--trained", type=Path, default=Path("reports/demo/model.keras"), help="the model of cct demo")
    parser.add_argument("--turns", type=whole_number(1000), default=5)
    parser.add_argument("--note", help="what else the machine did")
    parser.add_argument("--out", type=Path, default=HERE / "results/inference.json")
    arguments = parser.parse_args()
    if arguments.calls:
        print(json.dumps(calls(arguments.calls)))
        return
    if not arguments.trained.is_file():
        raise CCTError(f"there is no {arguments.trained}: run make demo, or name a .keras file with --trained")
    facts = here() | {"load_at_start": [round(value, 1) for value in os.getloadavg()]}
    facts |= {"turns": arguments.turns, "note": arguments.note}
    models = models_of(read_earlier(arguments.out, "inference"))
    torch_python = arguments.torch_python if has_torch(arguments.torch_python) else None
    if torch_python is None:
        rows = [row for name in models.keys() & {*NAMES} for row in models[name]["batches"].values()]
        titles = (title for row in rows for title in row)
        refuse_without_torch(titles, out=arguments.out, python=arguments.torch_python)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("demo", *NAMES):
            own = Path(folder, name)
            own.mkdir()
            path = own / "model.keras"
            if name == "demo":
                path.write_bytes(arguments.trained.read_bytes())
            else:
                random_model(name, path)
            run("-m", "cct.cli", "export", "--model", str(path), "--format", "onnx", "litert")
            models[name] = facts | measure(own, name, turns=arguments.turns, torch_python=torch_python)
            write(arguments.out, {"kind": "inference", "models": models})  # stays if the rest is interrupted
            for batch, row in models[name]["batches"].items():
                speeds = ", ".join(f"{file} {one['images_per_second']:,}" for file, one in row.items())
                print(f"{name}, batch {batch}: {speeds} images/s; times Keras {row['onnx']['times_keras']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
