"""The pipeline as its users run it: with DVC, MLflow and the real stages, on the digits."""

import csv
import importlib.util
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from patience import HUNG_S
from PIL import Image
from runs import THREADS, digests, set_parameters

from cct.data.sources import read_arrays, read_source
from cct.evaluation.figures.registry import FIGURES
from cct.tasks.figures import FIGURE_TASKS
from cct.tracking.model_files import model_file

SMALL = [
    word
    for setting in ("train.epochs=3", "train.warmup_epochs=1", "model.embed_dim=32", f"runtime.threads={THREADS}")
    for word in ("-S", setting)
]


@pytest.fixture(scope="module")
def clone(make_clone):
    return make_clone(identity=False)


@pytest.fixture(scope="module")
def demo(clone):
    """`make demo`'s command with fewer epochs, where git knows no user."""
    before = clone.git_state(), (clone.path / "params.yaml").read_bytes()
    new = clone.path / "src/cct/new.py"
    new.touch()
    output = clone.run("cct", "demo", *SMALL)
    assert "git does not know src/cct/new.py, so the demo does not see it" in output
    new.unlink()
    after = clone.git_state(), (clone.path / "params.yaml").read_bytes()
    assert before == after
    return output


@pytest.fixture(scope="module")
def client(clone, demo):
    return mlflow.MlflowClient(f"sqlite:///{clone.path}/mlflow.db")


@pytest.fixture(scope="module")
def run(client, demo):
    name = re.search(r"\n(demo-\S+): ", demo)[1]
    runs = client.search_runs(["0", "1"], f"tags.`cct.experiment` = '{name}'")
    assert len(runs) == 1, "train, evaluate and plot must write into one run"
    return runs[0]


@pytest.fixture(scope="module")
def reports(clone, demo):
    return clone.path / "reports/demo"


def test_demo_says_what_it_did_and_what_next(demo):
    assert re.search(r"demo-\d+-\d+-\w+: \d+\.\d\d% of 359 test examples right", demo)
    for hint in ("reports/demo/figures/", "make ui", "make demo ARGS="):
        assert hint in demo
    assert "WARNING" not in demo and "Traceback" not in demo


def test_reports_agree_with_one_another(reports):
    metrics = json.loads((reports / "metrics.json").read_text())
    with (reports / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == metrics["test"]["examples"] == 359
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics["test"]["accuracy"], abs=1e-6)
    with (reports / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    best = max(history, key=lambda row: float(row["val_accuracy"]))
    assert [row["epoch"] for row in history if row["best"] == "1"] == [best["epoch"]]
    with (reports / "per_class.csv").open() as file:
        per_class = list(csv.DictReader(file))
    assert [row["class"] for row in per_class] == [str(digit) for digit in range(10)]
    assert sum(int(row["examples"]) for row in per_class) == 359
    hits = sum(int(row["examples"]) * float(row["accuracy"]) for row in per_class)
    assert hits / 359 == pytest.approx(metrics["test"]["accuracy"], abs=1e-4)
    assert "per_class" not in metrics
    names = {path.name for path in (reports / "figures").iterdir()}
    drawn = FIGURES | FIGURE_TASKS["image_classification"]
    assert names == {f"{name}.png" for name in drawn}


def test_mlflow_has_it_all(client, run, reports):
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("demo-")
    assert run.data.params["train.epochs"] == "3"
    assert run.data.params["data.source"] == "data/sources/digits.yaml"
    metrics = json.loads((reports / "metrics.json").read_text())
    assert run.data.metrics["test/accuracy"] == metrics["test"]["accuracy"]
    assert run.data.metrics["test/top_5_accuracy"] == metrics["test"]["top_5_accuracy"]
    with (reports / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    for name, column in {"train/loss": "train_loss", "val/accuracy": "val_accuracy"}.items():
        curve = sorted(client.get_metric_history(run.info.run_id, name), key=lambda point: point.step)
        assert [(point.step, point.value) for point in curve] == [
            (int(row["epoch"]), pytest.approx(float(row[column]))) for row in history
        ]
    for tag in ("cct.commit", "cct.data_digest", "cct.model_sha256", "cct.dirty", "cct.experiment"):
        assert run.data.tags[tag]
    files = {
        file.path for folder in (None, "figures", "reports") for file in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"params.yaml", "dvc.lock", "reports/history.csv", "figures/confusion_matrix.png"} <= files


def test_no_mlflow_identifier_is_in_a_file_of_dvc(reports, run):
    for path in reports.rglob("*"):
        if path.is_file():
            assert run.info.run_id.encode() not in path.read_bytes()


def test_the_logged_model_loads_where_nothing_of_ours_is_imported(clone, client, run, reports, tmp_path):
    """In a process of its own, from outside the repository: raw images in, labels and probabilities out."""
    uri = f"models:/{run.outputs.model_outputs[0].model_id}"
    images = tmp_path / "images.npy"
    source = read_source(clone.path / "data/sources/digits.yaml")
    file = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets/data/digits.csv.gz"
    np.save(images, read_arrays(source, file.parent).test_inputs)
    code = f"""
import mlflow, numpy, sys
mlflow.set_tracking_uri("sqlite:///{clone.path}/mlflow.db")
images = numpy.load({str(images)!r})
table = mlflow.pyfunc.load_model({uri!r}).predict(images)
table.to_csv({str(tmp_path / "table.csv")!r}, index=False)
import cct.models.build
logits = numpy.asarray(mlflow.keras.load_model({uri!r}).predict(images, verbose=0))
classes = [name.removeprefix("p_") for name in table.columns[1:]]
assert [classes[k] for k in logits.argmax(1)] == list(table["label"])
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clone.environment, check=True, timeout=HUNG_S)
    with (tmp_path / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    with (reports / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert [row["label"] for row in table] == [row["predicted"] for row in predictions]
    found, expected = (
        np.array([[float(row[f"p_{k}"]) for k in range(10)] for row in rows]) for rows in (table, predictions)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_cct_predict_gives_the_pipelines_answers_from_the_file_and_from_mlflow(
    clone, run, reports, tmp_path, monkeypatch
):
    source = read_source(clone.path / "data/sources/digits.yaml")
    file = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets/data/digits.csv.gz"
    for index, pixels in enumerate(read_arrays(source, file.parent).test_inputs[:5]):
        Image.fromarray(pixels[..., 0]).save(tmp_path / f"{index}.png")
    with (reports / "predictions.csv").open() as table:
        expected = list(csv.DictReader(table))[:5]
    run_id = run.info.run_id
    for words in (("--model", str(reports / "model.keras")), ("--run", run_id[:12])):
        rows = json.loads(clone.run("cct", "predict", str(tmp_path), *words, "--json"))
        assert [row["label"] for row in rows] == [row["predicted"] for row in expected]
        for found, row in zip(rows, expected, strict=True):
            assert found["probability"] == pytest.approx(float(row[f"p_{row['predicted']}"]), abs=1e-5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{clone.path}/mlflow.db")
    for address in (f"runs:/{run_id}/model", f"models:/{run.outputs.model_outputs[0].model_id}"):
        with model_file(address) as file:
            assert file.read_bytes() == (reports / "model.keras").read_bytes()


@pytest.fixture(scope="module")
def repro(clone, demo, undisturbed):
    """`dvc repro` in the work tree, on the digits; training and evaluation are restored from another clone's cache."""
    set_parameters(clone)
    shutil.rmtree(clone.path / ".dvc/cache")
    shutil.copytree(undisturbed[0].path / ".dvc/cache", clone.path / ".dvc/cache")
    output = clone.run("dvc", "repro")
    assert "Stage 'train' is cached" in output
    assert digests(clone) == undisturbed[1]
    return output


def test_repro_with_nothing_changed_is_quick(clone, repro):
    """Under three seconds. Processor time, so that a busy machine does not fail it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = clone.run("dvc", "repro")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Data and pipelines are up to date." in output
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("dvc", "metrics", "show"), "test.accuracy"),
        (("dvc", "params", "diff"), "train.epochs"),
        (("dvc", "exp", "show", "--csv"), "demo-"),
        (("dvc", "plots", "show"), "file://"),
        (("dvc", "status"), "up to date"),
        (("cct", "check"), "no mistake"),
    ],
)
def test_the_usual_commands_work(clone, repro, words, shown):
    assert shown in clone.run(*words)


@pytest.mark.parametrize("stage", ["download", "preprocess", "plot"])
def test_light_stages_never_import_tensorflow(clone, repro, stage):
    code = f"""
import sys
from cct.stages.__main__ import main
assert main([{stage!r}]) == 0
heavy = {{"tensorflow", "keras", "jax", "torch", "sklearn"}} & sys.modules.keys()
assert not heavy, heavy
"""
    assert clone.run(sys.executable, "-c", code)


def test_repro_leaves_only_the_lock_the_metrics_and_the_edited_parameters(clone, repro):
    changed = [" M params.yaml", "?? dvc.lock", "?? reports/metrics.json"]
    assert clone.run("git", "status", "--porcelain").splitlines() == changed


def test_a_typo_stops_everything_before_any_stage_works(clone, repro):
    """The mistake is in the last stage's section, and the first stage that runs refuses it."""
    words = ("dvc", "exp", "run", "--temp", "-S", "train.seed=7", "-S", "plot.top_errors=0")
    assert "Git user name and email must be configured" in clone.run(*words, code=255)  # DVC's own message
    clone.run("git", "config", "user.name", "tests")
    clone.run("git", "config", "user.email", "tests@localhost")
    output = clone.run(*words, code=255)
    assert "plot.top_errors = 0: must be greater than or equal to 1" in output
    assert "epoch 1" not in output and "Traceback" not in output


def test_a_dead_server_costs_a_warning_not_a_run(clone, repro):
    start = time.perf_counter()
    output = clone.run(
        sys.executable, "-m", "cct.stages", "evaluate", PYTHONPATH="src",
        MLFLOW_TRACKING_URI="http://someone:secret@127.0.0.1:9",
    )  # fmt: skip
    assert output.count("warning: ") == 1 and "127.0.0.1:9: Connection refused" in output and "cct track" in output
    assert "test accuracy" in output
    assert "secret" not in output
    assert time.perf_counter() - start < 120
