"""Draw the figures."""

import sys
from pathlib import Path

from cct import augment as augmentation
from cct import data, metrics, params, plots, tables, tracking
from cct.errors import command


@command
def main() -> None:
    augment, options = params.load(Path("params.yaml"), "augment", "plot")
    meta = data.read_meta(Path("data/processed"))
    examples = augmentation.examples(*data.read_split(Path("data/processed"), "train"), augment)
    images, _ = data.read_split(Path("data/processed"), "test")
    summary = tables.read_metrics(Path("reports/metrics.json"))
    history = tables.read_history(Path("reports/history.csv"))
    _, labels, predicted, probabilities, names = tables.read_predictions(Path("reports/predictions.csv"))
    test = summary["test"]
    figures = {
        "augmentation": plots.augmentation(examples, augmentation.switched_on(augment)),
        "training_curves": plots.training_curves(history),
        "learning_rate": plots.learning_rate(history),
        "confusion": plots.confusion(metrics.confusion_matrix(labels, predicted, len(names)), names),
        "mistakes": plots.mistakes(images, labels, predicted, probabilities, names, options.mistakes),
        "per_class_accuracy": plots.per_class_accuracy(
            summary["per_class"], test["accuracy"], test["accuracy_low"], test["accuracy_high"]
        ),
    }
    folder = Path("reports/figures")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        plots.save(figure, folder / f"{name}.png", options.dpi)
    print(f"{len(figures)} figures in {folder}")
    with tracking.Tracker(stage="plot", meta=meta, model_sha256=summary["model"]["sha256"]) as tracker:
        tracker.artifact(folder, "figures")
        lock = Path("dvc.lock")
        if lock.is_file():
            tracker.artifact(lock)
            tracker.tags({"lock_digest": tracking.lock_digest(lock.read_text(encoding="utf-8"))})


if __name__ == "__main__":
    sys.exit(main())
