"""Measure the model on the test split, the only stage that looks at it."""

import json
import sys
from pathlib import Path

from cct import params
from cct.data.store import read_meta, read_split
from cct.errors import command
from cct.evaluation.metrics import compute_metrics, softmax
from cct.evaluation.predictions import write_predictions
from cct.files import require_writable, sha256_of_file
from cct.inference import mlflow_model
from cct.models.architectures import resolve_architecture
from cct.models.cost import model_cost
from cct.runtime.backend import configure_backend, describe_platform
from cct.tracking.mlflow import MlflowTracker
from cct.tracking.names import final_metrics


@command
def main() -> None:
    architecture, evaluate, hardware = params.load(Path("params.yaml"), "model", "evaluate", "runtime")
    require_writable(Path("reports"))
    meta, path = read_meta(Path("data/processed")), Path("models/model.keras")
    images, labels = read_split(Path("data/processed"), "test")
    print(describe_platform(configure_backend(hardware, seed=0)))
    from cct.models.saving import load_model, predict_logits

    network = load_model(path)
    logits = predict_logits(network, images, batch_size=evaluate.batch_size)
    height, width, channels = meta["image_shape"]
    cost = model_cost(
        resolve_architecture(architecture), height=height, width=width, channels=channels, classes=len(meta["classes"])
    )
    sha256 = sha256_of_file(path)
    summary = compute_metrics(logits, labels, meta["classes"], confidence=evaluate.confidence_level)
    summary["model"] = {"parameters": network.count_params(), "macs": cost.macs, "sha256": sha256}
    Path("reports/metrics.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    write_predictions(Path("reports/predictions.csv"), softmax(logits), labels, meta["classes"])
    test = summary["test"]
    print(
        f"test accuracy {test['accuracy']:.4f} ({test['accuracy_low']:.4f} to {test['accuracy_high']:.4f} with "
        f"{evaluate.confidence_level:.0%} confidence), loss {test['loss']:.4f}, {test['images']:,} images"
    )
    with MlflowTracker(stage="evaluate", meta=meta, model_sha256=sha256, flavor=mlflow_model) as tracker:
        tracker.finals(final_metrics(summary))
        tracker.artifact(Path("reports/metrics.json"), "reports")
        tracker.artifact(Path("reports/predictions.csv"), "reports")


if __name__ == "__main__":
    sys.exit(main())
