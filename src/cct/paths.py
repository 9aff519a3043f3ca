"""The pipeline's files, relative to the repository root. `dvc.yaml` has the same paths."""

from pathlib import Path

PARAMS, DVC_YAML, DVC_LOCK = Path("params.yaml"), Path("dvc.yaml"), Path("dvc.lock")
RAW, PROCESSED = Path("data/raw"), Path("data/processed")
META = PROCESSED / "meta.json"
MODEL, HISTORY = Path("models/model.keras"), Path("reports/history.csv")
METRICS, PREDICTIONS = Path("reports/metrics.json"), Path("reports/predictions.csv")
PER_CLASS, ATTENTION, FIGURES = Path("reports/per_class.csv"), Path("reports/attention.npy"), Path("reports/figures")
# The files of a finished run that MLflow is made from, without the figures.
RUN_FILES = (PARAMS, DVC_LOCK, META, MODEL, HISTORY, METRICS, PREDICTIONS, PER_CLASS)
