"""`cct serve` against MLflow's server, and ten thousand requests of which some are malformed.

    python benchmarks/serving.py [--model reports/demo/model.keras] [--turns 7] [--out benchmarks/results/serving.json]

All servers run on this machine, and are loaded in turns. They get the same images as the same JSON arrays. Each client
has one connection, which stays open for a turn. The clients run on the same cores. `cpu_ms` is the server's own
processor time of a request, which other work on the machine changes least. The model is the demo's: run `make demo` and
`cct export --model reports/demo/model.keras --format onnx` before. With the ONNX file `cct serve` answers by ONNX
Runtime, and MLflow's server by Keras. So a second `cct serve` has the `.keras` file alone.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import load
import numpy as np
import psutil
from common import ROOT, here, read_earlier, spread, write
from PIL import Image
from run_server import ANSWER_S, get, running

from cct.commands.arguments import whole_number
from cct.entry import entry_point
from cct.errors import CCTError

CLIENTS = (1, 16)
PACKAGES = ("mlflow", "fastapi", "uvicorn", "keras", "tensorflow", "onnxruntime", "numpy")
BAD_SHARE = 0.05
TOLERANCE = 2e-6  # answers have six digits, and a batch of another size rounds differently
JSON = "application/json"
# Of each kind of malformed request: its media type, and its body made of a good image file.
MALFORMED = {
    "no JSON": (JSON, lambda file: b'{"images": ['),
    "NaN": (JSON, lambda file: b'{"images": [[[NaN]]]}'),
    "another name": (JSON, lambda file: b'{"image": []}'),
    "no base64": (JSON, lambda file: b'{"images": ["%%%"]}'),
    "pixel of 256": (JSON, lambda file: b'{"images": [[[256]]]}'),
    "nested": (JSON, lambda file: b"[" * 50_000),
    "cut off": ("image/png", lambda file: file[: len(file) // 2]),
    "text": ("image/png", lambda file: b"no image"),
    "media type": ("text/plain", lambda file: file),
    "form": ("multipart/form-data; boundary=a", lambda file: b"--a\r\n" + file),
}


def cct_serve(model: Path) -> list[str]:
    """The command of this project's server."""
    return [sys.executable, "-m", "cct.cli", "serve", "--model", str(model)]


def mlflow_serve(model: Path, folder: Path) -> list[str]:
    """The command of MLflow's server, for the model as the pipeline logs it."""
    from mlflow.models import Model

    from cct.inference.mlflow_model import save_model
    from cct.models.metadata import model_metadata

    facts = model_metadata(model)
    meta = {"task": facts.task, "classes": facts.classes, "image_shape": facts.input["shape"]}
    save_model(str(folder / "logged"), Model(), model_file=model, meta=meta, backend="tensorflow")
    return [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(folder / "logged")]


def images_of(model: Path, count: int) -> np.ndarray:
    """Random images of the model's shape, (count, height, width, channels)."""
    from cct.models.metadata import model_metadata

    shape = model_metadata(model).input["shape"]
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def turn(pid: int, port: int, requests: list[bytes], *, clients: int, seconds: float) -> dict[str, float]:
    """Load a server for so long: what `load.summary` says, and the processor time of a request.

    Raises:
        CCTError: an answer is not 200.
    """
    begun, used = time.perf_counter(), processor_seconds(pid)
    answers = load.ask(port, load.until(begun + seconds, requests), clients=clients, patience=ANSWER_S)
    took, used = time.perf_counter() - begun, processor_seconds(pid) - used
    if failed := [answer for answer in answers if answer.status != 200]:
        raise CCTError(f"port {port}: {failed[0]}")
    return load.summary(answers, took) | {"cpu_ms": round(1000 * used / len(answers), 2)}


def processor_seconds(pid: int) -> float:
    """What a server's processes have used."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


class Server(NamedTuple):
    """A server to load.

    Attributes:
        words: its command.
        health: the path of its health check.
        predict: the path for requests.
        key: of the images in a request.
        runtime: what computes the model; None: the server says it.
    """

    words: list[str]
    health: str
    predict: str
    key: str
    runtime: str | None = None


def servers_of(model: Path, folder: Path) -> dict[str, Server]:
    """`cct serve`, the same with the `.keras` file alone if there is an ONNX file, and MLflow's server."""
    from cct.inference.runtimes.onnx_model import onnx_beside

    paths = {"cct": model}
    if onnx_beside(model):
        paths["cct_keras"] = folder / model.name
        shutil.copyfile(model, folder / model.name)
    servers = {name: Server(cct_serve(path), "/health", "/predict", "images") for name, path in paths.items()}
    # The logged model has the .keras file alone.
    return servers | {"mlflow": Server(mlflow_serve(model, folder), "/ping", "/invocations", "instances", "Keras")}


def compare(model: Path, *, turns: int, seconds: float) -> list[dict[str, Any]]:
    """All servers, each loaded in turn while the other ones are idle: a row for each number of clients."""
    images = images_of(model, 50)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        loaded, runtimes = {}, {}
        for name, server in servers_of(model, Path(folder)).items():
            pid, port = stack.enter_context(running(server.words, health=server.health))
            bodies = (json.dumps({server.key: [one.tolist()]}).encode() for one in images)
            loaded[name] = pid, port, [load.post(server.predict, body, JSON) for body in bodies]
            runtimes[name] = server.runtime or json.loads(get(port, "/model").body)["runtime"]
        rows = []
        for clients in CLIENTS:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in loaded}
            for number in range(turns + 1):
                for name, server in loaded.items():
                    result = turn(*server, clients=clients, seconds=seconds)
                    print(f"{clients} clients, turn {number}, {name}: {result}", flush=True)
                    found[name] += [result] if number else []  # the first turn compiles
            rows.append({"clients": clients} | {name: median_of(results) for name, results in found.items()})
            for name, runtime in runtimes.items():
                rows[-1][name]["runtime"] = runtime
            rows[-1]["ratios"] = {name: ratio_of(found[name], found["mlflow"]) for name in found if name != "mlflow"}
        return rows


def ratio_of(ours: list[dict[str, float]], others: list[dict[str, float]]) -> list[float]:
    """How many times as many requests a second, in the same turns."""
    key = "requests_per_second"
    return spread(one[key] / other[key] for one, other in zip(ours, others, strict=True))


def median_of(results: list[dict[str, float]]) -> dict[str, float]:
    """The median of each value over the turns, and the number of requests in all."""
    medians = {key: round(statistics.median(result[key] for result in results), 2) for key in results[0]}
    return medians | {"requests": sum(result["requests"] for result in results)}


def mixed_requests(model: Path, count: int) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Requests of all kinds of bodies; which are malformed; the images of the others."""
    rng, images = np.random.default_rng(1), images_of(model, count)
    bad_n = rng.random(count) < BAD_SHARE
    requests = []
    for number, (pixels, bad) in enumerate(zip(images, bad_n, strict=True)):
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
        if bad:
            media_type, make = list(MALFORMED.values())[rng.integers(len(MALFORMED))]
            requests.append(load.post("/predict", make(file.getvalue()), media_type))
        else:
            body, media_type = GOOD[number % len(GOOD)](pixels, file.getvalue())
            requests.append(load.post("/predict?top=1000", body, media_type))
    return requests, bad_n, images


def _form(pixels: np.ndarray, file: bytes) -> tuple[bytes, str]:
    head = b'--a\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    return head + file + b"\r\n--a--\r\n", "multipart/form-data; boundary=a"


GOOD = (
    _form,
    lambda pixels, file: (file, "image/png"),
    lambda pixels, file: (json.dumps({"images": [pixels.tolist()]}).encode(), JSON),
    lambda pixels, file: (json.dumps({"images": [base64.b64encode(file).decode()]}).encode(), JSON),
)


def endure(model: Path, count: int) -> dict[str, Any]:
    """Send requests of which some are malformed; how they were answered, and the memory of the server meanwhile.

    Memory is the server's resident set, after the first tenth of the requests, in the middle and at the end.
    """
    import cct

    requests, bad_n, images = mixed_requests(model, count)
    expected = cct.load(model).predict_arrays(images)
    stops = [count // 10, count // 2, count]
    answers, memory, seconds = [], {}, 0.0
    with running(cct_serve(model), health="/health") as (pid, port):
        memory["started"] = psutil.Process(pid).memory_info().rss
        for start, stop in zip([0, *stops], stops, strict=False):
            begun = time.perf_counter()
            answers += [
                answer._replace(place=start + answer.place)
                for answer in load.ask(port, requests[start:stop], clients=CLIENTS[-1], patience=ANSWER_S)
            ]
            seconds += time.perf_counter() - begun
            memory[f"after {stop:,}"] = psutil.Process(pid).memory_info().rss
    wrong, largest = [], 0.0
    for answer, bad in zip(answers, bad_n, strict=True):
        if bad:
            if not (400 <= answer.status < 500 and json.loads(answer.body).keys() == {"error"}):
                wrong.append(answer)
            continue
        row = json.loads(answer.body)["predictions"][0] if answer.status == 200 else {}
        given = {one["label"]: one["probability"] for one in row.get("top", [])}
        p = expected.probabilities[answer.place]
        differs = max((abs(given.get(name, 9) - p[k]) for k, name in enumerate(expected.classes)), default=9)
        largest = max(largest, differs)
        # Of two classes that are as probable as each other, either may be first.
        first = [name for k, name in enumerate(expected.classes) if p[k] >= p.max() - TOLERANCE]
        if row.get("label") not in first or differs > TOLERANCE:
            wrong.append(answer)
    return {
        "requests": count,
        "malformed": int(bad_n.sum()),
        "wrong": len(wrong),
        "examples_of_wrong": [str(answer)[:300] for answer in wrong[:3]],
        "largest_difference": round(largest, 8),
        "requests_per_second": round(count / seconds, 1),
        "memory_mb": {name: round(value / 1e6, 1) for name, value in memory.items()},
    }


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "reports/demo/model.keras")
    parser.add_argument("--turns", type=whole_number(1000), default=7)
    parser.add_argument("--seconds", type=whole_number(3600), default=4, help="of each turn")
    parser.add_argument(
        "--requests", type=whole_number(1_000_000), default=10_000, help="of the part with malformed ones"
    )
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/serving.json")
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    if not model.is_file():
        raise CCTError(f"there is no {arguments.model}: run make demo, or name a .keras file with --model")
    read_earlier(arguments.out, "serving")  # refuses to replace another file
    loads = [round(os.getloadavg()[0], 1)]
    report = {"kind": "serving"} | here() | {"versions": {name: version(name) for name in PACKAGES}}
    report["speed"] = compare(model, turns=arguments.turns, seconds=arguments.seconds)
    report["endurance"] = endure(model, arguments.requests)
    report |= {"load_average": [*loads, round(os.getloadavg()[0], 1)], "note": arguments.note}
    print(json.dumps(report["endurance"], indent=2))
    write(arguments.out, report)


if __name__ == "__main__":
    sys.exit(main())
