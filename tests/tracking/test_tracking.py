"""Runs in a real SQLite store. `test_pipeline.py` tests the pipeline's own runs."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput
from patience import HUNG_S
from sqlalchemy import event
from sqlalchemy.engine import Engine
from watched import watched

from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.tracking.address import require_sqlite_file
from cct.tracking.logged_models import usable_model
from cct.tracking.names import epoch_metrics, result_metrics
from cct.tracking.provenance import current_provenance
from cct.tracking.store import Store
from cct.tracking.sync import track_files
from cct.tracking.times import epoch_seconds, training_seconds
from cct.training.checkpoints import CheckpointStore, abandoned_runs

META = {
    "name": "digits", "digest": "d", "task": "image_classification", "classes": ["a", "b"], "image_shape": [2, 2, 1],
    "sha256": {"test_inputs": "i", "test_labels": "l"},
}  # fmt: skip
HISTORY = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,best\n1,1,0.5,1,0.5,0.1,1\n"


def client(path: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{path}/mlflow.db")


def train(model: str) -> str:
    """A run that trained a model of this digest; its identifier."""
    with watched("train") as tracker:
        tracker.log_epoch(row(1, 1.0))
        tracker.log_epoch(row(2, 0.5))
        tracker.set_tags({"model_sha256": model})
    return tracker.run_id


def row(epoch: int, loss: float) -> dict[str, float]:
    rest = dict.fromkeys(("train_accuracy", "val_loss", "val_accuracy", "learning_rate"), 0.25)
    return {"epoch": epoch, "train_loss": loss} | rest


def test_a_run_is_named_tagged_and_ended(here):
    run = client(here).get_run(train("a" * 64))
    assert run.info.status == "FINISHED"
    commit = subprocess.check_output(["git", "-C", str(here), "rev-parse", "HEAD"], text=True).strip()
    assert run.info.run_name == f"main@{commit[:7]}"
    assert run.data.tags["cct.commit"] == commit and run.data.tags["cct.dirty"] == "false"
    assert run.data.params == {"train.epochs": "3", "evaluate.confidence_level": "0.9"}
    assert run.data.metrics["train/loss"] == 0.5 and run.data.metrics["val/accuracy"] == 0.25
    assert run.info.artifact_uri.startswith((here / "mlartifacts").as_uri())


def test_a_model_that_is_active_in_the_environment_is_not_that_of_a_run(here, monkeypatch):
    """In a process of its own: MLflow reads the variable once."""
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-0123456789abcdef")
    code = "from cct.tracking.mlflow import MlflowTracker; tracker = MlflowTracker()\n"
    code += f"tracker.start('train', {META})\ntracker.log_epoch({row(1, 0.5)})\n"
    code += "tracker.finish('FINISHED'); print(tracker.run_id)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MLflow refused something" not in done.stderr
    assert client(here).get_run(done.stdout.strip()).data.metrics["train/loss"] == 0.5


def test_a_run_that_somebody_deleted_counts_as_absent(here):
    """MLflow still returns it, and refuses every value for it."""
    store, run_id = Store(), train("d" * 64)
    store.client.update_run(run_id, status="RUNNING")
    store.client.delete_run(run_id)
    assert store.find(run_id) is None
    store.end_killed_runs([run_id])
    with pytest.raises(CCTError, match=f"no run {run_id}"):
        store.get(run_id)
    store.client.restore_run(run_id)
    store.end_killed_runs([run_id])
    assert store.get(run_id).info.status == "KILLED"


def test_a_value_is_logged_once_even_if_it_is_no_number(here):
    store, run_id = Store(), train("0" * 64)
    for _ in range(2):
        store.log_once(run_id, {"a": float("nan"), "b": 1.5}, 1)
    assert [len(store.client.get_metric_history(run_id, name)) for name in "ab"] == [1, 1]


def test_any_metric_of_an_epoch_and_of_the_test_is_logged(here):
    with watched("train") as tracker:
        tracker.log_epoch(row(1, 1.0) | {"val_made_up": 0.5})
        tracker.log_results({"test": {"invented": 0.75}})
    metrics = client(here).get_run(tracker.run_id).data.metrics
    assert (metrics["val/made_up"], metrics["test/invented"]) == (0.5, 0.75)


def test_a_later_stage_goes_on_with_the_run_that_trained(here):
    identifier = train("b" * 64)
    with watched("evaluate", model_sha256="b" * 64) as tracker:
        tracker.log_results({"test": {"accuracy": 0.75}})
    assert tracker.run_id == identifier
    run = client(here).get_run(identifier)
    assert run.info.status == "FINISHED" and run.data.metrics["test/accuracy"] == 0.75


def test_other_parameters_make_another_run_with_a_link(here):
    identifier = train("c" * 64)
    before = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(before.replace("0.9", "0.5"))
    try:
        with watched("evaluate", model_sha256="c" * 64) as tracker:
            tracker.log_results({"test": {"accuracy": 0.75}})
    finally:
        (here / "params.yaml").write_text(before)
    run = client(here).get_run(tracker.run_id)
    assert tracker.run_id != identifier
    assert run.data.params["evaluate.confidence_level"] == "0.5"
    assert run.data.tags["cct.training"] == "restored" and run.data.tags["cct.trained_in"] == identifier
    assert run.data.tags["cct.dirty"] == "false", "parameters are recorded; dirty means that the code differed"
    assert "test/accuracy" not in client(here).get_run(identifier).data.metrics


def test_an_experiment_has_a_run_of_its_own(here, monkeypatch):
    identifier = train("e" * 64)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-duck")
    with watched("evaluate", model_sha256="e" * 64) as tracker:
        pass
    assert tracker.run_id != identifier
    assert client(here).get_run(tracker.run_id).info.run_name == "brave-duck"


def test_the_store_is_in_the_repository_also_from_elsewhere(here, monkeypatch, tmp_path):
    """As where DVC runs an experiment in a folder of its own."""
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(here))
    identifier = train("f" * 64)
    assert client(here).get_run(identifier).info.status == "FINISHED"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_how_a_run_ended_is_recorded(here, error, status):
    with pytest.raises(error), watched("train") as tracker:
        raise error
    assert client(here).get_run(tracker.run_id).info.status == status


def test_an_interrupted_training_goes_on_in_its_run_and_doubles_nothing(here):
    with pytest.raises(KeyboardInterrupt), watched("train") as first:
        first.log_epoch(row(1, 1.0))
        first.log_epoch(row(2, 0.5))
        raise KeyboardInterrupt
    opened = []
    with watched("train", run_id=first.run_id, on_start=opened.append) as tracker:
        tracker.log_history([row(1, 1.0), row(2, 0.5), row(3, 0.4)])
        tracker.log_epoch(row(4, 0.3))
    assert opened == [first.run_id] == [tracker.run_id]
    curve = client(here).get_metric_history(first.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in curve) == [(1, 1.0), (2, 0.5), (3, 0.4), (4, 0.3)]
    assert client(here).get_run(first.run_id).info.status == "FINISHED"


def test_an_epoch_that_was_logged_before_its_checkpoint_is_one_point(here):
    with pytest.raises(KeyboardInterrupt), watched("train") as first:
        first.log_epoch(row(1, 1.0))
        first.log_epoch(row(2, 0.5))
        raise KeyboardInterrupt
    with watched("train", run_id=first.run_id) as tracker:
        tracker.log_history([row(1, 1.0)])
        tracker.log_epoch(row(2, 0.5))
        tracker.log_epoch(row(3, 0.4))
    curve = client(here).get_metric_history(first.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in curve) == [(1, 1.0), (2, 0.5), (3, 0.4)]


def test_what_mlflow_refuses_is_left_out_with_a_warning(here, capsys):
    with watched("train") as tracker:
        tracker.log_artifact(Path("no/such/file"))
        tracker.log_epoch(row(1, 1.0))
    assert capsys.readouterr().err.count("warning: MLflow refused something, which is left out: ") == 1
    assert client(here).get_run(tracker.run_id).data.metrics["train/loss"] == 1.0


def test_names_are_grouped():
    row = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25, "learning_rate": 0.1}
    assert epoch_metrics(row)["val/accuracy"] == 0.25
    size = {"parameters": 1, "macs": 2, "sha256": ""}
    summary = {"test": {"accuracy": 0.5, "new": 0.75}, "model": size}
    expected = {"test/accuracy": 0.5, "test/new": 0.75, "model/parameters": 1, "model/macs": 2}
    assert result_metrics(summary) == expected
    assert epoch_metrics({"epoch": 3, "best": 1, "train_new": 1.0, "val_new": 2.0, "ema_val_new": 3.0}) == {
        "train/new": 1.0, "val/new": 2.0, "val/ema_new": 3.0
    }  # fmt: skip


def test_a_store_whose_maker_was_killed_is_made_anew(here, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 3\n")
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "from cct.tracking.store import Store; Store()"]) as process:
        while not any(
            part.stat().st_size > 20_000 for part in tmp_path.glob(".cct/*/mlflow.db")
        ):  # some tables are made
            assert process.poll() is None
            time.sleep(1e-3)
        process.kill()
    assert not (tmp_path / "mlflow.db").exists()
    run_id = train("a" * 64)
    assert client(tmp_path).get_run(run_id).info.status == "FINISHED"
    assert not list(tmp_path.glob(".cct/*/mlflow.db"))


def test_one_process_makes_several_stores(tmp_path, monkeypatch):
    """MLflow remembers the addresses that a process has opened."""
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 3\n")
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("a.db", "b.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{name}")
        Store()
        assert (tmp_path / name).is_file()


def test_the_load_of_the_machine_is_recorded_unless_the_environment_says_no(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")

    def recorded(run_id: str) -> set[str]:
        return {name for name in client(here).get_run(run_id).data.metrics if name.startswith("system/")}

    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    with watched("train") as tracker:
        end = time.monotonic() + HUNG_S
        while not (tracker.run_id and recorded(tracker.run_id)):
            assert time.monotonic() < end
    assert "system/cpu_utilization_percentage" in recorded(tracker.run_id)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    assert not recorded(train("9" * 64))


def test_only_the_delivery_asks_the_store(here):
    """Training waits for no statement. `test_delivery.py` counts those of an epoch."""
    asking = set()

    def note(*statement: object) -> None:
        asking.add(threading.get_ident())

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with watched("train") as tracker:
            for epoch in range(1, 4):
                tracker.log_epoch(row(epoch, 1.0))
            tracker.log_history([row(4, 1.0)])
            tracker.log_results({"test": {"accuracy": 0.5}})
            tracker.set_tags({"model_sha256": "8" * 64})
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert asking == {tracker.delivery.thread.ident}


def test_epochs_have_the_times_of_those_that_were_watched(here):
    store = Store()

    def run_of(*ends: int) -> str:
        run_id = store.client.create_run(store.experiment).info.run_id
        for epoch, milliseconds in enumerate(ends, 1):
            store.client.log_metric(run_id, "val/accuracy", 0.5, timestamp=milliseconds, step=epoch)
        return run_id

    assert epoch_seconds(store, run_of(1000, 3000, 5500, 8000)) == [2.0, 2.5, 2.5]
    for never_watched in ([1000, 1000, 1000], [1000], []):
        assert epoch_seconds(store, run_of(*never_watched)) == []
    assert training_seconds([2.0, 2.5, 2.5]) == 9.5
    assert training_seconds([2.0, 2.0, 900.0]) == 2.0 + 2.0 + 2.0 + 6.0, "a night in between is no training"


def test_an_interrupted_training_that_resumes_under_another_name_is_still_one_run(here, monkeypatch):
    """DVC gives `dvc exp run` without a name a new one each time."""
    monkeypatch.setenv("DVC_EXP_NAME", "brave-duck")
    with pytest.raises(KeyboardInterrupt), watched("train") as first:
        first.log_epoch(row(1, 1.0))
        raise KeyboardInterrupt
    monkeypatch.setenv("DVC_EXP_NAME", "shy-goat")
    with watched("train", run_id=first.run_id) as second:
        second.log_history([row(1, 1.0)])
    assert second.run_id == first.run_id
    run = client(here).get_run(first.run_id)
    assert run.info.run_name == run.data.tags["cct.experiment"] == "shy-goat" and run.info.status == "FINISHED"
    monkeypatch.setenv("DVC_EXP_NAME", "third")  # what has ended under its name stays that experiment's
    with watched("train", run_id=first.run_id) as third:
        pass
    assert third.run_id != first.run_id and client(here).get_run(first.run_id).info.run_name == "shy-goat"


def test_runs_of_killed_trainings_do_not_stay_running(here, tmp_path):
    store = Store()
    killed, ended, active = (store.client.create_run(store.experiment).info.run_id for _ in range(3))
    store.client.set_terminated(ended)
    for digest, run_id in (("aa" * 20, killed), ("bb" * 20, ended), ("cc" * 20, active)):
        CheckpointStore(tmp_path, digest).note_tracked_run(run_id)
    with CheckpointStore(tmp_path, "dd" * 20) as finished:
        finished.note_tracked_run("of no interest")
        finished.finish([])
    with CheckpointStore(tmp_path, "cc" * 20), watched("train") as tracker:
        assert abandoned_runs(tmp_path) == [killed, ended]
        tracker.end_killed_runs([killed, ended, "gone"])
    status = {run_id: store.client.get_run(run_id).info.status for run_id in (killed, ended, active)}
    assert status == {killed: "KILLED", ended: "FINISHED", active: "RUNNING"}


@pytest.mark.parametrize("name", ["it's", 'a"b', "`tick`", "50%", "a\\b", "C++ & (x), y=1;", "größe-ж-鸭🦆"])
def test_any_name_of_an_experiment_is_whole_and_found_again(here, monkeypatch, name):
    monkeypatch.setenv("DVC_EXP_NAME", name)
    model = str(abs(hash(name)))
    identifier = train(model)
    with watched("evaluate", model_sha256=model) as tracker:
        tracker.log_results({"test": {"accuracy": 0.75}})
    assert tracker.run_id == identifier
    run = client(here).get_run(identifier)
    assert run.info.run_name == run.data.tags["cct.experiment"] == name
    assert [found.info.run_id for found in Store().runs(experiment=name, model_sha256=model)] == [identifier]


def test_a_run_is_found_by_the_beginning_of_its_identifier(here):
    identifier = train("9" * 64)
    store = Store()
    assert store.get(identifier[:10]).info.run_id == identifier
    with pytest.raises(CCTError, match=r"runs begin with  in sqlite.*: give more of the identifier$"):
        store.get("")
    with pytest.raises(CCTError, match=r"^no run zzz in sqlite.*: check MLFLOW_TRACKING_URI$"):
        store.get("zzz")


def test_a_model_whose_upload_was_killed_is_none(here, tmp_path):
    store = Store()
    run_id = train("b" * 64)
    pending = store.client.create_logged_model(store.experiment, name="model", source_run_id=run_id)
    store.client.log_outputs(run_id, [LoggedModelOutput(pending.model_id, step=0)])
    assert usable_model(store, store.client.get_run(run_id)) is None
    store.client.finalize_logged_model(pending.model_id, "READY")
    assert usable_model(store, store.client.get_run(run_id)) is None  # its files are not there
    folder = Path(url2pathname(urlsplit(pending.artifact_location).path))
    folder.mkdir(parents=True)
    (folder / "MLmodel").touch()
    assert usable_model(store, store.client.get_run(run_id)) == pending.model_id


def finished_run(folder: Path) -> Path:
    """A folder with the files of a finished run, as `cct track` takes them."""
    files = {
        "params.yaml": (Path("params.yaml")).read_text(),
        "dvc.lock": json.dumps({"schema": "2.0", "stages": {"train": {"cmd": str(folder)}}}),
        "data/processed/meta.json": json.dumps(META),
        "models/model.keras": f"a model of {folder}",  # all tests share one store, which knows runs by these two
        "reports/history.csv": HISTORY,
        "reports/metrics.json": '{"test": {"accuracy": 0.5}}',
        "reports/predictions.csv": "",
        "reports/per_class.csv": "",
        "reports/figures/a.png": "",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def killed_upload(store: Store, run_id: str) -> None:
    """What a SIGKILL in `Model.log` leaves of a training."""
    pending = store.client.create_logged_model(store.experiment, name="model", source_run_id=run_id)
    store.client.log_outputs(run_id, [LoggedModelOutput(pending.model_id, step=0)])
    store.client.update_run(run_id, status="RUNNING")


def test_track_uploads_a_model_again_whose_upload_was_killed(here, tmp_path):
    store, folder, source = Store(), finished_run(tmp_path), current_provenance()
    run_id = train(sha256_of_file(folder / "models/model.keras"))
    killed_upload(store, run_id)
    for _ in range(2):
        assert track_files(store, folder, source, at=1000).endswith(f"is there, checked ({run_id})")
        run = store.client.get_run(run_id)
        model = store.client.get_logged_model(usable_model(store, run))
        assert Path(model.artifact_location.removeprefix("file://"), "MLmodel").is_file()
        assert run.info.status == "FINISHED" and len(run.outputs.model_outputs) == 2


def test_track_ends_the_run_of_a_repeated_training_that_was_killed_in_its_upload(here, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "repeated")
    store, folder, source = Store(), finished_run(tmp_path), current_provenance()
    track_files(store, folder, source, at=1000)
    repeated, active, other = (store.create(here, source, {}) for _ in range(3))
    killed_upload(store, repeated)
    store.name(other, source._replace(name="other"))
    killed_upload(store, other)
    track_files(store, folder, source, at=1000)
    status = [store.client.get_run(run_id).info.status for run_id in (repeated, active, other)]
    assert status == ["KILLED", "RUNNING", "RUNNING"]


def test_a_relative_store_keeps_its_files_in_the_repository(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    store = Store()
    assert (here / "other.db").is_file()
    assert store.client.get_experiment(store.experiment).artifact_location == (here / "mlartifacts").as_uri()


def test_an_address_with_a_query_names_the_same_file(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///timed.db?timeout=30")
    store = Store()
    assert [path.name for path in here.glob("timed.db*")] == ["timed.db"]
    assert store.client.get_experiment(store.experiment).artifact_location == (here / "mlartifacts").as_uri()
    (here / "junk.db").write_text("no database" * 100)
    with pytest.raises(CCTError, match=r"junk\.db cannot be opened as MLflow's store"):
        require_sqlite_file(f"sqlite:///{here}/junk.db?timeout=30")
