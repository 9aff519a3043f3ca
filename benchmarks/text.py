"""Trains models of texts on one data set with several seeds, and writes accuracies and times as JSON.

    python benchmarks/text.py FOLDER --models text_cct_2_1 text_cct_4_2 --embeddings data/vectors/FILE none \
      --out benchmarks/results/trec.json

Everything else is the preset `text`. The file has what is done so far, and the same command resumes there. Each case
has the command, commit and settings of its own trainings. A call with others is refused. The source code of HEAD must
be that of the measurements.
"""

import argparse
import itertools
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import read_earlier, write

from cct import params
from cct.commands.arguments import add_set_param, whole_number
from cct.data.kinds import source_task
from cct.data.prepare import write_processed
from cct.data.sources import open_source
from cct.data.store import read_split
from cct.entry import entry_point
from cct.errors import CCTError
from cct.experiments.presets import read_preset
from cct.experiments.settings import merged, read_settings
from cct.paths import PARAMS, RAW
from cct.repository import git, repository_root
from cct.runtime.backend import configure_backend, prepare_backend


def sections_of(settings: list[str], **changes: Any) -> dict[str, Any]:
    """The parameters: those of params.yaml, the preset, the command line and one training."""
    flat = read_preset("text") | read_settings(settings) | changes
    return params.check(merged(params.read_yaml(PARAMS), flat), where=PARAMS)


def data_of(vectors: str | None) -> dict[str, Any]:
    """The parameters of a file of vectors, or of none. Only a file's vectors can be frozen."""
    frozen = {} if vectors else {"model.freeze_embeddings": None}
    return {"preprocess.embeddings": vectors} | frozen


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


def command(words: Sequence[str], source: Path) -> str:
    """The command of these words. The path of the source is one of this machine, so SOURCE stands for it."""
    return shlex.join(["python", "benchmarks/text.py", *("SOURCE" if Path(word) == source else word for word in words)])


def key_of(model: str, vectors: str | None, change: str, *, files: int) -> str:
    """The name of a case. With several files of vectors it names the file."""
    own = "" if vectors is None else "with vectors" if files == 1 else f"with {Path(vectors).name}"
    return ", ".join(filter(None, [model, own, change]))


def refuse_others(key: str, case: Mapping[str, Any], facts: Mapping[str, Any], *, more: bool, out: Path) -> None:
    """Refuse to mix the trainings of a case with those of other conditions.

    Args:
        key: the name of the case.
        case: what the file has of it.
        facts: the conditions of this call.
        more: whether the case gets more trainings. Only then must the commit be the same.
        out: the file.

    Raises:
        CCTError: a condition differs, or the case does not have it.
    """
    differing = [name for name, value in facts.items() if case.get(name) != value and (more or name != "commit")]
    if case["runs"] and differing:
        raise CCTError(
            f"{out} has trainings of {key!r} with other or unknown conditions ({', '.join(differing)}): name another "
            "--out, or remove that file"
        )


def result(cases: dict[str, Any], facts: Mapping[str, Any], meta: dict[str, Any], epochs: int) -> dict[str, Any]:
    """The content of the file."""
    for case in cases.values():
        found = [run["test_accuracy"] for run in case["runs"]]
        case["mean"] = round(statistics.fmean(found), 4)
        case["std"] = round(statistics.stdev(found), 4) if len(found) > 1 else None
    return {
        "kind": "text",
        "data": {name: meta[name] for name in ("name", "digest", "examples", "max_length")},
        "epochs": epochs,
        "machine": facts["machine"],
        "packages": facts["packages"],
        "cases": cases,
    }


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--embeddings", nargs="+", default=["none"], metavar="FILE", help="of data/vectors, or none")
    parser.add_argument("--seeds", type=whole_number(1000), default=5)
    parser.add_argument("--change", nargs="+", default=[], metavar="NAME=VALUE", help="also train with each of these")
    parser.add_argument("--machine", default=platform.processor() or platform.machine(), help="kind of machine")
    parser.add_argument("--out", type=Path, required=True)
    add_set_param(parser)
    args = parser.parse_args()
    done = read_earlier(args.out, "text").get("cases", {})
    sections = sections_of(args.set_param)
    facts = {
        "commit": git(repository_root(), "rev-parse", "HEAD"),
        "settings": read_settings(args.set_param),
        "machine": args.machine,
        "packages": {
            "python": platform.python_version(),
            "keras": version("keras"),
            "backend": sections["runtime"].backend,
        },
    }
    files = [None if name == "none" else name for name in args.embeddings]
    cases = list(itertools.product(args.models, ["", *args.change]))
    keys = {
        (vectors, *case): key_of(case[0], vectors, case[1], files=sum(name is not None for name in files))
        for vectors, case in itertools.product(files, cases)
    }
    new = {"runs": []}
    for (vectors, model, change), key in keys.items():  # refuses what is misspelt, or does not fit, before any work
        sections_of([*args.set_param, *filter(None, [change])], **data_of(vectors), **{"model.name": model})
        case = done.get(key, new)
        refuse_others(key, case, facts, more=len(case["runs"]) < args.seeds, out=args.out)
    prepare_backend(sections["runtime"])
    configure_backend(sections["runtime"], seed=0)
    for vectors in files:
        with tempfile.TemporaryDirectory() as name:
            folder, data = Path(name, "processed"), data_of(vectors)
            meta = prepare(args.source, sections_of(args.set_param, **data), folder)
            source = {"source": {name: meta[name] for name in ("name", "digest")}, "embeddings": meta.get("embeddings")}
            for model, change in cases:
                key = keys[vectors, model, change]
                refuse_others(key, done.get(key, new), source, more=True, out=args.out)
            for model, change in cases:
                key = keys[vectors, model, change]
                case = done.setdefault(key, {"model": model, "change": change, "runs": []})
                for seed in range(len(case["runs"]), args.seeds):
                    settings = [*args.set_param, change] if change else args.set_param
                    one = sections_of(settings, **data, **{"model.name": model, "train.seed": seed})
                    case |= facts | source | {"command": command(sys.argv[1:], args.source)}
                    case |= {"epochs": sections["train"].epochs, "vocabulary_size": meta["vocabulary_size"]}
                    case["runs"].append(measure(one, meta, folder))
                    print(key, case["runs"][-1], flush=True)
                    write(args.out, result(done, facts, meta, sections["train"].epochs))


if __name__ == "__main__":
    sys.exit(main())
