"""A repository with an MLflow store."""

import subprocess

import mlflow
import pytest


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A git repository of DVC's whose store exists: making one takes seconds."""
    path = tmp_path_factory.mktemp("repository")
    (path / ".dvc").mkdir()
    (path / "params.yaml").write_text("train:\n  epochs: 3\nevaluate:\n  confidence_level: 0.9\n")
    for words in (["init", "-qb", "main"], ["add", "-A"], ["commit", "-qm", "start"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", "-C", str(path), *identity, *words], check=True)
    return path


@pytest.fixture
def here(repository, monkeypatch):
    monkeypatch.chdir(repository)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.setenv(name, "")  # so that what MLflow sets in this process is taken back after the test
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    mlflow.set_tracking_uri(None)
    return repository
