"""Measure the model on the test split, the only stage that looks at it."""

import json
import sys
from pathlib import Path

from cct import data, metrics, params, runtime, serving, tables, tracking, variants
from cct.errors import command
from cct.files import digest, writable


@command
def main() -> None:
    architecture, evaluate, hardware = params.load(Path("params.yaml"), "model", "evaluate", "runtime")
    writable(Path("reports"))
    meta, path = data.read_meta(Path("data/processed")), Path("models/model.keras")
    images, labels = data.read_split(Path("data/processed"), "test")
    print(runtime.describe(runtime.configure(hardware, seed=0)))
    from cct import model  # after configure: importing Keras chooses the backend

    network = model.load(path)
    logits = model.predict(network, images, batch_size=evaluate.batch_size)
    height, width, channels = meta["image_shape"]
    cost = variants.cost(
        variants.resolve(architecture), height=height, width=width, channels=channels, classes=len(meta["classes"])
    )
    sha256 = digest(path)
    summary = metrics.summarise(logits, labels, meta["classes"], confidence=evaluate.confidence)
    summary["model"] = {"parameters": network.count_params(), "macs": cost.macs, "sha256": sha256}
    Path("reports/metrics.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    tables.write_predictions(Path("reports/predictions.csv"), metrics.softmax(logits), labels, meta["classes"])
    test = summary["test"]
    print(
        f"test accuracy {test['accuracy']:.4f} ({test['accuracy_low']:.4f} to {test['accuracy_high']:.4f} with "
        f"{evaluate.confidence:.0%} confidence), loss {test['loss']:.4f}, {test['images']:,} pictures"
    )
    with tracking.Tracker(stage="evaluate", meta=meta, model_sha256=sha256, flavor=serving) as tracker:
        tracker.finals(tracking.final_metrics(summary))
        tracker.artifact(Path("reports/metrics.json"), "reports")
        tracker.artifact(Path("reports/predictions.csv"), "reports")


if __name__ == "__main__":
    sys.exit(main())
