"""Images a second of a `.keras` file and of its exports, as `cct.load` computes them.

Each measurement has its own process. Turns alternate, so that a drift of the machine's speed affects all alike. A
turn's figure is the median of its calls. Ratios compare the files of one turn: median (lowest to highest). Processor
time is that of all threads: it says what a call costs where other processes share the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from speed import HERE, here, spread, write

from cct.inference.exporters.run import library_versions

BATCHES = (1, 128)
FILES = {"keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}
SECONDS = 3.0  # of calls in one turn


def contender(path: Path) -> dict:
    """The seconds and the seconds of processor time of a call for each batch, of one file in this process."""
    import cct

    model = cct.load(path)
    found = {}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, *model.reader.shape), np.uint8)
        for _ in range(3):
            model.predict_arrays(images)
        taken: list[float] = []
        busy = time.process_time()
        while sum(taken) < SECONDS or len(taken) < 5:
            start = time.perf_counter()
            model.predict_arrays(images)
            taken.append(time.perf_counter() - start)
        found[str(batch)] = [statistics.median(taken), (time.process_time() - busy) / len(taken)]
    return found


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


def measure(folder: Path, *, turns: int) -> dict:
    """Rows of one model by batch: images a second of each file, and its ratio to Keras."""
    found = [
        {name: json.loads(run(__file__, "--contender", str(folder / file)).splitlines()[-1])
         for name, file in FILES.items()}
        for _ in range(turns)
    ]  # fmt: skip
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
            for name in FILES
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contender", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--trained", type=Path, default=Path("reports/demo/model.keras"), help="the model of cct demo")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--note", help="what else the machine did")
    parser.add_argument("--out", type=Path, default=HERE / "results/inference.json")
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(contender(arguments.contender)))
        return
    report = {"kind": "inference"} | here() | {"load_at_start": [round(value, 1) for value in os.getloadavg()]}
    report |= {"versions": library_versions(), "turns": arguments.turns, "note": arguments.note}
    models: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("demo", "cct_7_3x1"):
            own = Path(folder, name)
            own.mkdir()
            path = own / "model.keras"
            if name == "demo":
                path.write_bytes(arguments.trained.read_bytes())
            else:
                random_model(name, path)
            run("-m", "cct.cli", "export", "--model", str(path), "--format", "onnx", "litert")
            models[name] = measure(own, turns=arguments.turns)
            report |= {"models": models}
            write(arguments.out, report)  # what is measured stays if the rest is interrupted
            for batch, row in models[name].items():
                speeds = ", ".join(f"{file} {one['images_per_second']:,}" for file, one in row.items())
                print(f"{name}, batch {batch}: {speeds} images/s; times Keras {row['onnx']['times_keras']}", flush=True)


if __name__ == "__main__":
    main()
