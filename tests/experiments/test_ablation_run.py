"""An ablation runs through DVC's queue into MLflow, and is interrupted, which takes minutes (make test-attack)."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest
from patience import HUNG_S
from runs import SEED_SHIFT, SETTINGS

from cct.errors import CCTError
from cct.experiments.ablation.reports import FOLDER
from cct.experiments.ablation.run import run_ablation
from cct.experiments.dvc_queue import Queue

SECTIONS = {section: {} for section in ("data", "model", "train", "runtime")}


for path, value in SETTINGS.items():
    SECTIONS[path.partition(".")[0]][path.partition(".")[2]] = value


QUEUED = f"""\
base: {json.dumps(SECTIONS)}
base_seeds: [{SEED_SHIFT}]
seeds: [{SEED_SHIFT}]
changes:
  model:
    without-dropout: {{model: {{dropout: 0.0}}, train: {{epochs: 100}}}}
"""  # so many epochs that it cannot end before it is interrupted
UNFIT = "    unfit: {model: {tokenizer: patch, patch_size: 7}}\n"


def experiments(clone) -> dict[str, str]:
    """Commits of DVC's experiments by name."""
    form = "--format=%(refname:lstrip=4) %(objectname)"
    return dict(line.split() for line in clone.run("git", "for-each-ref", form, "refs/exps/*/*/*").splitlines())


@pytest.mark.attack
def test_an_ablation_runs_what_is_missing_and_makes_its_table(make_clone, undisturbed):
    """The base is the undisturbed run, which DVC restores from its cache."""
    clone = make_clone()
    shutil.copytree(undisturbed[0].path / ".dvc/cache", clone.path / ".dvc/cache")
    (clone.path / "queued.yaml").write_text(QUEUED.replace("epochs: 100", "epochs: 1, warmup_epochs: 0"))
    words = ["cct", "ablate", "--file", "queued.yaml", "--jobs", "1"]
    assert "2 experiments, 0 of them are finished" in clone.run(*words)
    second = experiments(clone)
    assert "2 experiments, 2 of them are finished" in clone.run(*words) and experiments(clone) == second
    summary = json.loads((clone.path / FOLDER / "queued.json").read_text())
    assert [row["name"] for row in summary["changes"]] == ["without-dropout"] and not summary["missing"]
    _tracked(clone, summary)


def test_an_edit_while_the_queue_fills_is_found_before_anything_runs(make_clone, monkeypatch):
    """Each task would have another work tree."""
    clone = make_clone()
    (clone.path / "queued.yaml").write_text(QUEUED)
    monkeypatch.chdir(clone.path)
    put = Queue._put

    def put_and_edit(queue, experiments):
        put(queue, experiments)
        path = clone.path / "params.yaml"
        path.write_text(path.read_text().replace("label_smoothing: 0.1", "label_smoothing: 0.2"))

    monkeypatch.setattr(Queue, "_put", put_and_edit)
    with pytest.raises(CCTError, match="changed while the experiments were put into the queue"):
        run_ablation(Path("queued.yaml"), settings=[], seeds=[], only=[], jobs=1)
    assert not {"Queued", "Running"} & set(clone.run("dvc", "queue", "status").split()) and not experiments(clone)


@pytest.mark.attack
def test_an_interrupted_ablation_resumes_and_a_finished_one_does_nothing(make_clone):
    clone = make_clone()
    (clone.path / "queued.yaml").write_text(QUEUED)
    words = ["cct", "ablate", "--file", "queued.yaml"]
    # What others have in the queue is not touched.
    clone.run("dvc", "exp", "run", "--queue", "-n", "mine", "-S", "train.epochs=1")
    assert "tasks that are not of this ablation (mine)" in clone.run(*words, code=1)
    clone.run("dvc", "queue", "remove", "mine")
    with (clone.path / "src/cct/models/layers/encoder.py").open("a") as file:
        file.write("\n")
    assert "changes that are not committed (src/cct/models/layers/encoder.py)" in clone.run(*words, code=1)
    clone.run("git", "checkout", "-q", "src/cct/models/layers/encoder.py")

    pipe = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*words, "--jobs", "1"], cwd=clone.path, env=clone.environment, **pipe) as process:
        said = ""
        while "[1/2]" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        until = time.monotonic() + HUNG_S
        while len(list(clone.path.glob(".dvc/tmp/exps/run/*/*.out"))) < 2:  # the second has not begun
            assert time.monotonic() < until
            time.sleep(0.2)
        # Ends it as Ctrl-C does, which is ignored by what a shell has started in the background.
        process.send_signal(signal.SIGTERM)
        assert process.wait(HUNG_S) == 130, process.stdout.read()
    first = experiments(clone)
    assert len(first) == 1 and next(iter(first)).startswith(f"queued-base-s{SEED_SHIFT}-")
    assert not {"Queued", "Running", "Failed"} & set(clone.run("dvc", "queue", "status").split())
    clone.run("git", "diff", "--exit-code", "HEAD")

    # What fails is named, and the others are in the table nevertheless.
    (clone.path / "queued.yaml").write_text(QUEUED + UNFIT)
    said = clone.run(*words, code=1)
    assert "3 experiments, 1 of them are finished" in said and "2 to run" in said
    assert f"failed: dvc queue logs queued-unfit-s{SEED_SHIFT}-" in said and "Missing: unfit." in said
    second = experiments(clone)
    assert len(second) == 2 and second.items() >= first.items()

    (clone.path / "queued.yaml").write_text(QUEUED)
    found = []
    for _ in range(2):
        begun = time.monotonic()
        said = clone.run(*words)
        assert "2 experiments, 2 of them are finished" in said and "to run" not in said
        assert time.monotonic() - begun < 60 and experiments(clone) == second
        reports = {path.name: path.read_bytes() for path in (clone.path / FOLDER).iterdir()}
        assert reports.keys() == {"queued.json", "queued.md", "queued.png"}
        summary = json.loads(reports["queued.json"])
        assert [row["name"] for row in summary["changes"]] == ["without-dropout"] and not summary["missing"]
        found.append((reports, _tracked(clone, summary)))
    assert found[0] == found[1]
    assert summary["base"]["train_seconds"] > 0 and summary["commit"] == clone.run("git", "rev-parse", "HEAD").strip()
    assert clone.run("git", "status", "--porcelain") == "?? queued.yaml\n"


DEAF_AT_FIRST = """
import signal, time
def miss(number, frame):
    print("missed", flush=True)
    signal.signal(number, signal.default_int_handler)
signal.signal(signal.SIGINT, miss)
print("waiting", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.attack
def test_an_experiment_that_misses_the_first_interrupt_is_interrupted_again(make_clone):
    """As one does that is just starting."""
    clone = make_clone()
    (clone.path / "queued.yaml").write_text(QUEUED)
    with (clone.path / "src/cct/stages/train.py").open("a") as file:
        file.write(DEAF_AT_FIRST)
    clone.run("git", "commit", "-qam", "deaf")
    words = ["cct", "ablate", "--file", "queued.yaml", "--jobs", "1"]
    with subprocess.Popen(words, cwd=clone.path, env=clone.environment, stdout=subprocess.DEVNULL) as process:
        until, logs = time.monotonic() + HUNG_S, []
        while not any("waiting" in log.read_text() for log in logs):
            assert time.monotonic() < until and process.poll() is None
            logs = list(clone.path.glob(".dvc/tmp/exps/run/*/*.out"))
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HUNG_S) == 130
    assert any("missed" in log.read_text() for log in logs)
    assert not {"Queued", "Running"} & set(clone.run("dvc", "queue", "status").split())


def _tracked(clone, summary) -> tuple:
    """The parent, and what the runs are, of MLflow."""
    client = mlflow.MlflowClient(f"sqlite:///{clone.path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    (parent,) = [run for run in found if run.info.run_name == summary["ablation"]]
    assert parent.data.metrics["changes"] == 1 and parent.info.status == "FINISHED"
    assert parent.data.metrics["base/test_accuracy"] == summary["base"]["test_accuracy"]
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"queued.json", "queued.md", "queued.png"}
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    names = {e["name"] for row in (summary["base"], *summary["changes"]) for e in row["experiments"]}
    assert sorted(run.info.run_name for run in children) == sorted(names)
    return parent.info.run_id, sorted(run.info.run_id for run in found)
