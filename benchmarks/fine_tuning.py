"""What fine-tuning gains over random weights on few images: handwritten digits, from a model of Fashion-MNIST.

    python benchmarks/fine_tuning.py pretrained/NAME.keras [--seeds 3] [--out benchmarks/results/fine_tuning.json]

Each seed chooses the training images, their order and the random weights. All variants make equally many updates. The
143 images of the validation split choose the best epoch, and the 359 of the test split measure it, for all variants
alike. The learning rate of a variant is the one with the best validation accuracy in a training of its own. The images
of that training are sampled from the same train split, so some are also training images of the seeds. The report is
written after each training, and the same command resumes there. It refuses a report of another commit, machine, model
or settings.
"""

import argparse
import itertools
import json
import logging
import statistics
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import ROOT, here, read_earlier, write
from scale import OPTIONS
from text import refuse_others

from cct import params
from cct.augment.params import AugmentParams
from cct.commands.arguments import whole_number
from cct.data.prepare import prepare_arrays
from cct.data.sources import read_arrays, read_source
from cct.entry import entry_point
from cct.experiments.presets import read_preset
from cct.files import sha256_of_file
from cct.log import ROOT as LOGGER
from cct.models.architectures import ModelParams
from cct.models.metadata import read_metadata
from cct.runtime.backend import configure_backend
from cct.runtime.params import CPU_DEFAULTS
from cct.tasks.preparation import PREPARATION_TASKS
from cct.training.params import TrainParams

if TYPE_CHECKING:
    from cct.training.batches import Examples

# What imports Keras is imported in functions: `configure_backend` first sets what TensorFlow reads at import.
TASK, SIDE = "image_classification", 28  # pixels of a side, as those of Fashion-MNIST
SIZES, BATCH = (5, 20, 50, 10), 25  # training images of a class; images in a batch
EPOCHS, UPDATES = 10, 20  # an epoch repeats the images until they make so many updates, and validates once
RATES, RATE_SEED, RATE_IMAGES = (1e-3, 3e-3), 1000, 10
BASE = "random weights"
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {"init_from": None},
    "all layers": {},
    "layer_decay 0.5": {"layer_decay": 0.5},
    "freeze tokenizer": {"freeze": "tokenizer"},
    "freeze encoder": {"freeze": "encoder"},
}


class Problem:
    """The digits as `preprocess` makes them, and the section of each parameter."""

    def __init__(self, init_from: Path) -> None:
        from cct.models.starting import stored_model
        from cct.training.batches import Examples

        self.path, given = init_from, params.load(ROOT / "params.yaml")
        preset = read_preset("demo")
        self.values = {
            name: given[name].model_dump()
            | {k.partition(".")[2]: v for k, v in preset.items() if k.startswith(f"{name}.")}
            for name in ("augment", "train")
        }
        self.augment = AugmentParams(**self.values["augment"])
        self.model = ModelParams(name=stored_model(init_from).name())
        source = read_source(ROOT / "data/sources/digits.yaml")
        preprocess = OPTIONS.model_copy(update={"image_size": SIDE})
        prepared = prepare_arrays(source, read_arrays(source, table_folder()), preprocess)
        convert = PREPARATION_TASKS[TASK].converter((8, 8, 1), preprocess)
        self.classes = list(source.classes)
        self.splits = {
            name: Examples(convert(np.asarray(split.inputs)[split.row_n]), split.label_n)
            for name, split in prepared.splits.items()
        }

    def few(self, images: int, seed: int) -> "Examples":
        """The training examples of a seed: so many of each class."""
        rng, every = np.random.default_rng(seed), self.splits["train"]
        chosen = np.concatenate(
            [rng.permutation(np.flatnonzero(every.labels == k))[:images] for k in range(len(self.classes))]
        )
        return every._replace(inputs=every.inputs[chosen], labels=every.labels[chosen])

    def train(self, variant: Mapping[str, Any], *, images: int, seed: int, rate: float) -> dict[str, float]:
        """Train one model. Returns its accuracies on validation and test split, and seconds."""
        import keras

        from cct.models.saving import predict_logits
        from cct.tasks.training import TRAINING_TASKS
        from cct.training.loop import train_model

        begun, task, few = time.perf_counter(), TRAINING_TASKS[TASK], self.few(images, seed)
        examples = repeated(few, BATCH * UPDATES)
        meta = {"task": TASK, "classes": self.classes, **PREPARATION_TASKS[TASK].describe(few.inputs)}
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = task.build(self.model, meta)
        if variant.get("init_from", self.path):
            task.initialize(self.path, model, self.model, meta)
        changes = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": rate, "seed": seed}
        config = TrainParams(**self.values["train"] | changes | {"init_from": "pretrained/a.keras"} | variant)
        history = train_model(
            model,
            examples,
            self.splits["val"],
            config=config,
            transform_of=task.transforms(examples, self.augment, seed),
            jit_compile=False,
        )
        test = self.splits["test"]
        accuracy = float((predict_logits(model, test.inputs, batch_size=256).argmax(axis=1) == test.labels).mean())
        val = max(row["val_accuracy"] for row in history)
        return {"test_accuracy": accuracy, "val_accuracy": val, "seconds": time.perf_counter() - begun}

    def conditions(self) -> dict[str, Any]:
        """The model, data and settings of the trainings, as JSON has them."""
        facts = {
            "model": {"name": self.model.name, "sha256": sha256_of_file(self.path)},
            "images": {name: len(split.labels) for name, split in self.splits.items()},
            "image_size": SIDE,
            "epochs": EPOCHS,
            "updates_per_epoch": UPDATES,
            "batch_size": BATCH,
            "settings": self.values,
            "rate_search": {"rates": RATES, "seed": RATE_SEED, "images": RATE_IMAGES},
            "versions": {package: version(package) for package in ("tensorflow", "keras", "numpy")},
        }
        return json.loads(json.dumps(here() | facts))


def repeated(few: "Examples", count: int) -> "Examples":
    """So many examples: the given ones over and over, the last time perhaps not all of them."""
    place_n = np.arange(count) % len(few.labels)
    return few._replace(inputs=few.inputs[place_n], labels=few.labels[place_n])


def table_folder() -> Path:
    """The folder with the digits in the package scikit-learn."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "data"


def summarize(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds, and of the gain over random weights with the same seed."""

    def accuracies(variant: str, images: int) -> dict[int, float]:
        wanted = (variant, images)
        return {run["seed"]: run["test_accuracy"] for run in runs if (run["variant"], run["images"]) == wanted}

    rows = []
    for variant in VARIANTS:
        for images in sorted(SIZES):
            found, base = accuracies(variant, images), accuracies(BASE, images)
            if gains := [found[seed] - base[seed] for seed in found if seed in base]:
                row = {"variant": variant, "images": images, "seeds": len(found)}
                rows.append(
                    row | {"accuracy": mean_and_deviation(list(found.values())), "gain": mean_and_deviation(gains)}
                )
    return rows


def mean_and_deviation(values: list[float]) -> dict[str, float | None]:
    """Mean and standard deviation of a sample; the latter is null of one value."""
    sd = round(statistics.stdev(values), 6) if len(values) > 1 else None
    return {"mean": round(statistics.mean(values), 6), "sd": sd}


def missing(runs: list[dict[str, Any]], seeds: int) -> list[tuple[int, int, str]]:
    """The images of a class, seed and variant of each training that is still to be made."""
    finished = {(run["images"], run["seed"], run["variant"]) for run in runs}
    return [case for case in itertools.product(SIZES, range(seeds), VARIANTS) if case not in finished]


def choose_rates(problem: Problem) -> list[dict[str, Any]]:
    """The validation accuracy of each variant at each learning rate."""
    found = []
    for name, variant in VARIANTS.items():
        for rate in RATES:
            done = problem.train(variant, images=RATE_IMAGES, seed=RATE_SEED, rate=rate)
            found.append({"variant": name, "learning_rate": rate, "val_accuracy": round(done["val_accuracy"], 6)})
            print(json.dumps(found[-1]), flush=True)
    return found


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model of Fashion-MNIST, as cct import-model names it")
    parser.add_argument("--seeds", type=whole_number(1000), default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/fine_tuning.json")
    arguments = parser.parse_args()
    before = {"runs": []} | read_earlier(arguments.out, "fine_tuning")
    configure_backend(CPU_DEFAULTS, seed=0)
    logging.getLogger(LOGGER).setLevel(logging.WARNING)
    problem = Problem(arguments.model)
    facts, cases = problem.conditions(), missing(before["runs"], arguments.seeds)
    refuse_others(problem.model.name, before, facts, more=bool(cases), out=arguments.out)
    report = {"kind": "fine_tuning"} | facts | {"pretrained_on": read_metadata(arguments.model).get("data")}
    report |= {name: before[name] for name in ("note", "rates", "runs") if name in before}
    if "rates" not in report:
        report["rates"] = choose_rates(problem)
    best = {row["variant"]: row for row in sorted(report["rates"], key=lambda row: row["val_accuracy"])}
    for images, seed, name in cases:
        rate = best[name]["learning_rate"]
        done = problem.train(VARIANTS[name], images=images, seed=seed, rate=rate)
        row = {"variant": name, "images": images, "seed": seed, "learning_rate": rate, "updates": EPOCHS * UPDATES}
        report["runs"].append(row | {key: round(value, 6) for key, value in done.items()})
        report["rows"] = summarize(report["runs"])
        write(arguments.out, report)
        print(json.dumps(report["runs"][-1]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
