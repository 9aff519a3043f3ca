"""The pipeline's files, relative to the root of the repository."""

from pathlib import Path

MODEL, HISTORY = Path("models/model.keras"), Path("reports/history.csv")
METRICS, PREDICTIONS = Path("reports/metrics.json"), Path("reports/predictions.csv")
META = "data/processed/meta.json"
RUN_FILES = ("params.yaml", "dvc.lock", META, *map(str, (MODEL, HISTORY, METRICS, PREDICTIONS)))
FIGURES = "reports/figures"
