"""Trains models of texts on one data set with several seeds, and writes accuracies and times as JSON.

    python benchmarks/text.py FOLDER --models text_cct_2_1 text_cct_4_2 --embeddings data/vectors/FILE none \
      --out benchmarks/results/trec.json

Everything else is the preset `text`. The file has what is done so far, and the same command resumes there. The source
code of HEAD must be that of the measurements.
"""

import argparse
import itertools
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cct import params
from cct.commands.arguments import add_set_param
from cct.data.kinds import source_task
from cct.data.prepare import write_processed
from cct.data.sources import open_source
from cct.data.store import read_split
from cct.entry import entry_point
from cct.experiments.presets import read_preset
from cct.files import write_atomically
from cct.paths import PARAMS, RAW
from cct.repository import git, repository_root
from cct.runtime.backend import configure_backend, prepare_backend
from cct.strict_yaml import loads


def sections_of(settings: list[str], **changes: Any) -> dict[str, Any]:
    """The parameters: those of params.yaml, the preset, the command line and one training."""
    content = params.read_yaml(PARAMS)
    flat = read_preset("text") | {name: loads(value) for name, _, value in (one.partition("=") for one in settings)}
    for name, value in (flat | changes).items():
        section, _, field = name.partition(".")
        content[section][field] = value
    return params.check(content, where=PARAMS)


def prepare(source: Path, sections: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Preprocess a source into a folder; the content of meta.json."""
    from cct.tasks.preparation import PREPARATION_TASKS

    opened = open_source(source)
    task = PREPARATION_TASKS[name := source_task(opened, sections["preprocess"])]
    with task.prepare(opened, sections["preprocess"], RAW) as prepared:
        return write_processed(folder, prepared, task=name, describe=task.describe)


def measure(sections: dict[str, Any], meta: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train one model, and measure it on the test split."""
    import keras

    from cct.evaluation.metrics import compute_metrics
    from cct.models.saving import predict_logits
    from cct.runtime.backend import jit_compile
    from cct.tasks.training import TRAINING_TASKS
    from cct.training.batches import Examples
    from cct.training.history import best_row
    from cct.training.loop import train_model

    task, train = TRAINING_TASKS[meta["task"]], sections["train"]
    task.check(sections["model"], sections["augment"], meta)
    keras.utils.set_random_seed(train.seed)
    model = task.build(sections["model"], meta, folder)
    training, start = Examples(*read_split(folder, "train")), time.perf_counter()
    history = train_model(
        model,
        training,
        Examples(*read_split(folder, "val")),
        config=train,
        transform_of=task.transforms(training, sections["augment"], train.seed),
        jit_compile=jit_compile(sections["runtime"]),
    )
    seconds = time.perf_counter() - start
    inputs, labels = read_split(folder, "test")
    logits = predict_logits(model, inputs, batch_size=256)
    summary = compute_metrics(logits, labels, len(meta["classes"]), confidence=sections["evaluate"].confidence_level)
    return {
        "seed": train.seed,
        "test_accuracy": summary["test"]["accuracy"],
        "val_accuracy": best_row(history)["val_accuracy"],
        "best_epoch": best_row(history)["epoch"],
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "texts_per_second": round(len(training.labels) * len(history) / seconds),
    }


def result(cases: dict[str, Any], args: argparse.Namespace, meta: dict[str, Any], packages: dict[str, str]) -> dict:
    """The content of the file."""
    for case in cases.values():
        found = [run["test_accuracy"] for run in case["runs"]]
        case["mean"] = round(statistics.fmean(found), 4)
        case["std"] = round(statistics.stdev(found), 4) if len(found) > 1 else None
    return {
        "kind": "text",
        "command": "python benchmarks/text.py SOURCE " + " ".join(sys.argv[2:]),
        "commit": git(repository_root(), "rev-parse", "HEAD"),
        "data": {name: meta[name] for name in ("name", "digest", "examples", "max_length")},
        "epochs": sections_of(args.set_param)["train"].epochs,
        "machine": args.machine,
        "packages": packages,
        "cases": cases,
    }


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--embeddings", nargs="+", default=["none"], metavar="FILE", help="of data/vectors, or none")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--change", nargs="+", default=[], metavar="NAME=VALUE", help="also train with each of these")
    parser.add_argument("--machine", default=platform.processor() or platform.machine(), help="kind of machine")
    parser.add_argument("--out", type=Path, required=True)
    add_set_param(parser)
    args = parser.parse_args()
    done = json.loads(args.out.read_text(encoding="utf-8"))["cases"] if args.out.exists() else {}
    sections = sections_of(args.set_param)
    prepare_backend(sections["runtime"])
    configure_backend(sections["runtime"], seed=0)
    import keras

    packages = {"python": platform.python_version(), "keras": keras.__version__, "backend": keras.backend.backend()}
    for vectors in (None if name == "none" else name for name in args.embeddings):
        with tempfile.TemporaryDirectory() as name:
            folder, data = Path(name, "processed"), {"preprocess.embeddings": vectors}
            if not vectors:
                data["model.freeze_embeddings"] = None
            meta = prepare(args.source, sections_of(args.set_param, **data), folder)
            for model, change in itertools.product(args.models, ["", *args.change]):
                key = ", ".join(filter(None, [model, "with vectors" if vectors else "", change]))
                case = done.setdefault(key, {"model": model, "change": change, "runs": []})
                case["embeddings"] = meta.get("embeddings")
                case["vocabulary_size"] = meta["vocabulary_size"]
                for seed in range(len(case["runs"]), args.seeds):
                    settings = [*args.set_param, change] if change else args.set_param
                    one = sections_of(settings, **data, **{"model.name": model, "train.seed": seed})
                    case["runs"].append(measure(one, meta, folder))
                    print(key, case["runs"][-1], flush=True)
                    content = result(done, args, meta, packages)
                    write_atomically(args.out, (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
