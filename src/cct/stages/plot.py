"""Draw the figures."""

import sys
from pathlib import Path

from cct import params
from cct.augment.preview import enabled_augmentations, preview_images
from cct.data.store import read_meta, read_split
from cct.entry import entry_point
from cct.evaluation.figures.classes import plot_confusion_matrix, plot_per_class_accuracy
from cct.evaluation.figures.curves import plot_learning_rate, plot_training_curves
from cct.evaluation.figures.images import plot_augmentations, plot_top_errors
from cct.evaluation.figures.style import save_figure
from cct.evaluation.metrics import confusion_matrix
from cct.evaluation.predictions import read_metrics, read_predictions
from cct.tracking.mlflow import MlflowTracker
from cct.tracking.provenance import lock_digest
from cct.training.history import read_history


@entry_point
def main() -> None:
    augment, options = params.load(Path("params.yaml"), "augment", "plot")
    meta = read_meta(Path("data/processed"))
    examples = preview_images(*read_split(Path("data/processed"), "train"), augment)
    images, _ = read_split(Path("data/processed"), "test")
    summary = read_metrics(Path("reports/metrics.json"))
    history = read_history(Path("reports/history.csv"))
    _, labels, predicted, probabilities, names = read_predictions(Path("reports/predictions.csv"))
    test = summary["test"]
    figures = {
        "augmentation": plot_augmentations(examples, enabled_augmentations(augment)),
        "training_curves": plot_training_curves(history),
        "learning_rate": plot_learning_rate(history),
        "confusion": plot_confusion_matrix(confusion_matrix(labels, predicted, len(names)), names),
        "mistakes": plot_top_errors(images, labels, predicted, probabilities, names, options.top_errors),
        "per_class_accuracy": plot_per_class_accuracy(
            summary["per_class"], test["accuracy"], test["accuracy_low"], test["accuracy_high"]
        ),
    }
    folder = Path("reports/figures")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png", options.dpi)
    print(f"{len(figures)} figures in {folder}")
    with MlflowTracker(stage="plot", meta=meta, model_sha256=summary["model"]["sha256"]) as tracker:
        tracker.artifact(folder, "figures")
        lock = Path("dvc.lock")
        if lock.is_file():
            tracker.artifact(lock)
            tracker.tags({"lock_digest": lock_digest(lock.read_text(encoding="utf-8"))})


if __name__ == "__main__":
    sys.exit(main())
