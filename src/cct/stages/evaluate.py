"""Measure the model on the test split. No other stage reads this split, except `plot`, which shows images of it."""

import json
import logging
from typing import TYPE_CHECKING

from cct import params
from cct.data.store import read_meta, read_split
from cct.evaluation.conformal import threshold_of
from cct.evaluation.examples import most_confident, write_relevance
from cct.evaluation.metrics import compute_metrics
from cct.evaluation.per_class import write_per_class
from cct.evaluation.predictions import write_predictions
from cct.evaluation.softmax import softmax
from cct.files import require_writable, sha256_of_file
from cct.models.metadata import model_metadata
from cct.models.saving import load_model, predict_logits
from cct.paths import ATTENTION, METRICS, MODEL, PARAMS, PER_CLASS, PREDICTIONS, PROCESSED
from cct.runtime.backend import configure_backend, describe_platform
from cct.tasks.evaluation import EVALUATION_TASKS
from cct.tasks.lookup import task_of
from cct.training.variables import parameters_of

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    model_params, evaluate, runtime = params.load(PARAMS, "model", "evaluate", "runtime")
    require_writable(METRICS.parent)
    meta = read_meta(PROCESSED)
    inputs, labels = read_split(PROCESSED, "test")
    log.info(describe_platform(configure_backend(runtime, seed=0)))
    model, sha256 = load_model(MODEL), sha256_of_file(MODEL)
    logits = predict_logits(model, inputs, batch_size=evaluate.batch_size)
    metadata = model_metadata(MODEL)
    temperature = metadata.temperature
    summary = compute_metrics(
        logits,
        labels,
        len(meta["classes"]),
        confidence=evaluate.confidence_level,
        temperature=temperature,
        threshold=threshold_of(metadata.set_thresholds, evaluate.coverage),
    )
    task = task_of(meta, EVALUATION_TASKS)
    summary["model"] = {
        "parameters": parameters_of(model),
        "macs": task.macs(model_params, meta),
        "temperature": temperature,
        "sha256": sha256,
    }
    METRICS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    probabilities = softmax(logits / temperature)
    write_predictions(PREDICTIONS, probabilities, labels, meta["classes"])
    shown = most_confident(probabilities, labels)
    write_relevance(ATTENTION, shown, task.relevance(model, inputs[shown]))
    write_per_class(PER_CLASS, labels, logits.argmax(axis=1), meta["classes"])
    test = summary["test"]
    log.info(
        f"test accuracy {test['accuracy']:.4f} ({test['accuracy_low']:.4f} to {test['accuracy_high']:.4f} with "
        f"{evaluate.confidence_level:.0%} confidence), loss {test['loss']:.4f}, {test['examples']:,} examples"
    )
    tracker.start("evaluate", meta, model_sha256=sha256)
    tracker.log_results(summary)
    for path in (METRICS, PREDICTIONS, PER_CLASS):
        tracker.log_artifact(path, "reports")
