"""The real pipeline is really killed. Each resumed run ends in the bytes of an uninterrupted run."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from clones import Clone
from killable import Killable
from runs import OUTPUTS, digests, set_parameters

pytestmark = pytest.mark.attack
# Where a run is killed: what is to be seen there.
POINTS = {
    "start-up": lambda run: run.said("Running stage 'train'"),
    "before the first step": lambda run: run.said(r"[\d,]+ parameters"),
    "in the first epoch": lambda run: run.exists(".cct/checkpoints/*/000000-00000003-*.npz"),
    "at the end of an epoch": lambda run: run.exists(".cct/checkpoints/*/000001-00000000-*.npz"),
    "in the second epoch": lambda run: run.exists(".cct/checkpoints/*/000001-00000004-*.npz"),
    "while a checkpoint is written": lambda run: run.exists(".cct/checkpoints/*/.00000[12]-*.part"),
    "after the last epoch": lambda run: run.exists(".cct/checkpoints/*/000003-00000000-*.npz"),
    "when the model is there": lambda run: run.exists("models/model.keras"),
    "when the training is finished": lambda run: run.exists(".cct/checkpoints/*/finished.json"),
    "in evaluate": lambda run: run.said(r"(?s)Running stage 'evaluate'.*threads?\)"),
    "in plot": lambda run: run.exists("reports/figures/*.png"),
}


@pytest.fixture(scope="module")
def victim(make_clone, undisturbed):
    """A clone with the first's cache, so that a stage is only run where its result cannot be known yet."""
    clone = make_clone()
    set_parameters(clone)
    return clone


def forget(clone: Clone, undisturbed: Clone, stage: str) -> None:
    """As before the first run, but with the results of the undisturbed one in DVC's cache: all but this stage's.

    Later stages are then restored if, and only if, this one ends in the same bytes; else they run and differ.
    """
    for name in (*OUTPUTS, ".dvc/cache", ".dvc/tmp", ".cct/checkpoints"):
        path = clone.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (clone.path / "dvc.lock").unlink(missing_ok=True)
    shutil.copytree(undisturbed.path / ".dvc/cache", clone.path / ".dvc/cache")
    runs = [path for path in (clone.path / ".dvc/cache/runs").rglob("*") if path.is_file()]
    own = [path for path in runs if f"cct.stages {stage}" in path.read_text()]
    assert len(runs) == 3 and len(own) == 1
    shutil.rmtree(own[0].parent)  # DVC stumbles over an empty folder


# Every point once, and to save time what resumes after one kill is killed again.
KILLS = {
    "train": (
        "start-up", "before the first step", "in the first epoch", "at the end of an epoch", "in the second epoch",
        "while a checkpoint is written", "after the last epoch", "when the model is there",
        "when the training is finished",
    ),
    "evaluate": ("in evaluate",),
    "plot": ("in plot",),
}  # fmt: skip
UNTRACKED = {"MLFLOW_TRACKING_URI": "none"}


@pytest.mark.parametrize("stage", KILLS)
def test_a_run_killed_anywhere_ends_in_the_same_bytes(stage, victim, undisturbed, tmp_path):
    """Without MLflow, where the undisturbed run was with it: tracking decides nothing."""
    assert sorted(point for points in KILLS.values() for point in points) == sorted(POINTS)
    forget(victim, undisturbed[0], stage)
    store = victim.path / "mlflow.db"
    before = store.exists()
    for point in KILLS[stage]:
        saved = any(victim.path.glob(".cct/checkpoints/*/*.npz"))
        run = Killable(victim, tmp_path / point, CCT_CHECKPOINT_SECONDS="0", **UNTRACKED)
        reached, resumed = POINTS[point](run), run.said("resuming after epoch") if saved else lambda: True
        # The kill before may have come so late that this point was reached too.
        # A checkpoint is a part for a few milliseconds.
        run.kill_when(lambda reached=reached, resumed=resumed: reached() and resumed(), every=5e-4)
        lock = victim.path / "dvc.lock"
        assert f"  {stage}:" not in lock.read_text()  # the stage had not ended
    saved = any(victim.path.glob(".cct/checkpoints/*/*.npz"))
    said = victim.run("dvc", "repro", **UNTRACKED)
    assert ("resuming after epoch" in said) == saved
    assert digests(victim) == undisturbed[1]
    assert store.exists() == before


def test_interrupts_and_a_full_disk_lose_nothing(victim, undisturbed, tmp_path):
    """Nor a second run in MLflow, whose run may be open only after the first interrupt."""
    forget(victim, undisturbed[0], "train")
    run = Killable(victim, tmp_path / "log", CCT_CHECKPOINT_SECONDS="1000")
    run.kill_when(run.exists(".cct/checkpoints/*/000001-00000000-*.npz"), signal.SIGINT)
    said = run.log.read_text()
    assert re.search(r"\ninterrupted (in|after) epoch \d.*; the same command resumes there\n", said), said
    assert "failed to reproduce 'train'" in said and "Traceback" not in said
    # The stage alone, because a shell between DVC and the stage says what signal it got, not how the stage ended.
    words = (sys.executable, "-m", "cct.stages", "train")
    run = Killable(victim, tmp_path / "log2", *words, CCT_CHECKPOINT_SECONDS="1000", PYTHONPATH="src")
    run.kill_when(run.exists(".cct/checkpoints/*/000002-00000000-*.npz"), signal.SIGTERM)
    assert run.process.returncode == 130 and "the same command resumes there" in run.log.read_text()
    before = sorted(victim.path.glob(".cct/checkpoints/*/*.npz"))
    # The file size limit of the processes stands for the disk, which no test may fill.
    full = subprocess.run(
        ["bash", "-c", "ulimit -f 30; PYTHONPATH=src python -m cct.stages train"], cwd=victim.path,
        env=victim.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert full.returncode == 1 and "resuming after epoch 2 of 3" in full.stdout
    assert "warning: cannot write a checkpoint into" in full.stdout
    assert "error: " in full.stdout and "File too large" in full.stdout and "Traceback" not in full.stdout
    assert sorted(victim.path.glob(".cct/checkpoints/*/*.npz")) == before
    said = victim.run("dvc", "repro")
    where = re.search(r"resuming after epoch 2 of 3, step \d+, from (.*)\n\(to start over instead: rm -r (.*)\)", said)
    assert where and where[1] == where[2] and Path(where[1]).parent == victim.path / ".cct/checkpoints"
    assert digests(victim) == undisturbed[1]
    # In MLflow it is one run, with each epoch once.
    client = mlflow.MlflowClient(f"sqlite:///{victim.path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    assert run.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3]
