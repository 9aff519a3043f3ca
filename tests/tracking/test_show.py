"""A run is brought into the work tree, from experiments of a real DVC repository with one small stage."""

import shutil
import subprocess
from pathlib import Path

import pytest

from cct.dvc import find_experiment, run_dvc
from cct.errors import CCTError
from cct.lockfile import cache_folder, cached_file, dvc_digest
from cct.tracking.show import apply_run
from cct.tracking.store import Store
from cct.tracking.sync import track_experiment, track_revision

# All files that a run has in MLflow, made of the seed in params.yaml alone.
STAGE = """
import json
from pathlib import Path

meta = {
    "name": "digits", "digest": "d", "task": "image_classification", "classes": ["a", "b"], "image_shape": [2, 2, 1],
    "sha256": {"test_inputs": "i", "test_labels": "l"},
}
history = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,best\\n1,1,0.5,1,0.5,0.1,1\\n"
for name, content in {
    "data/processed/meta.json": json.dumps(meta),
    "models/model.keras": Path("params.yaml").read_text(),
    "reports/history.csv": history,
    "reports/metrics.json": '{"test": {"accuracy": 0.5}}',
    "reports/predictions.csv": "",
    "reports/per_class.csv": "",
    "reports/figures/a.png": "",
}.items():
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)
"""
OUTPUTS = (
    "data/processed", "models/model.keras", "reports/history.csv", "reports/predictions.csv", "reports/per_class.csv",
    "reports/figures",
)  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.setenv(name, "")
    outs = "".join(f"\n      - {name}" for name in OUTPUTS)
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  train:\n    cmd: python make.py\n    deps: [make.py]\n    params: [seed]\n    outs:{outs}\n"
        "    metrics:\n      - reports/metrics.json:\n          cache: false\n"
    )
    (tmp_path / "make.py").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    ignored = (*OUTPUTS, "mlflow.db", "mlartifacts", ".cct")
    (tmp_path / ".gitignore").write_text("".join(f"/{name}\n" for name in ignored))
    git("init", "-qb", "main")
    run_dvc("init", "--quiet")
    commit("start")
    return tmp_path


def commit(message: str) -> None:
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", message)


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def tracked(store: Store, seed: int) -> str:
    """The run of an experiment, which replaces an earlier one. The work tree is as it was."""
    run_dvc("exp", "run", "--quiet", "--force", "-n", "twin", "-S", f"seed={seed}")
    git("reset", "--hard", "-q")
    return track_experiment(store, find_experiment("twin")).rpartition("(")[2].removesuffix(")")


def applied(store: Store, run_id: str) -> str:
    """What `cct show --apply` says. The work tree is as it was."""
    said = apply_run(store, run_id)
    assert Path("models/model.keras").read_text() == Path("params.yaml").read_text()
    said += f", {Path('params.yaml').read_text().strip()}"
    git("reset", "--hard", "-q")
    Path("dvc.lock").unlink(missing_ok=True)
    return said


def test_an_experiment_that_was_made_again_is_not_taken_for_an_earlier_run(project, capfd):
    store = Store()
    first, second = tracked(store, 2), tracked(store, 3)
    assert applied(store, second) == "experiment twin is in the work tree, seed: 3"
    assert applied(store, first) == (
        "its params.yaml and dvc.lock are in the work tree, and DVC checked their outputs out, seed: 2"
    )
    shutil.rmtree(cache_folder())
    shutil.rmtree("models")
    with pytest.raises(CCTError, match=r"DVC does not have all of its outputs: run dvc pull .*, else dvc repro$"):
        apply_run(store, first)
    assert Path("params.yaml").read_text() == "seed: 2\n"


def test_the_remedy_for_a_damaged_cache_names_no_file_in_the_work_tree(project):
    store = Store()
    tracked(store, 2)
    experiment = find_experiment("twin")
    copy = cached_file(cache_folder(), dvc_digest(Path("models/model.keras")))
    copy.chmod(0o644)
    copy.write_text("damaged")
    with pytest.raises(CCTError, match=r"^models/model\.keras of twin is not what its stage wrote: ") as raised:
        track_experiment(store, experiment)
    assert str(raised.value).endswith(f": rm -rf {copy}")


def test_a_file_of_a_commit_that_is_not_that_of_its_lock_file_is_refused(project):
    run_dvc("repro", "--quiet")
    Path("reports/metrics.json").write_text('{"test": {"accuracy": 1.0}}')
    commit("cheated")
    with pytest.raises(CCTError, match=r"metrics\.json of main@\w{7} is not what .*: track another commit") as raised:
        track_revision(Store(), "main")
    assert "dvc checkout" not in str(raised.value)
