"""Runs whose MLflow server dies. A real server is behind a gate that refuses, fails or hangs."""

import http.client
import http.server
import secrets
import tempfile
import threading
from collections.abc import Callable

import mlflow
import pytest
from patience import HUNG_S
from servers import mlflow_server
from watched import watched

from cct.runtime.machine import machine_record
from cct.tracking.mlflow import MlflowTracker
from cct.tracking.model_files import model_file

META = {"task": "image_classification", "digest": "d" * 64, "classes": ["a", "b"], "image_shape": [8, 8, 1]}
HISTORY = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,best\n1,1,0.5,1,0.5,0.1,1\n"


class Gate(http.server.ThreadingHTTPServer):
    """Passes requests on to a server while `mode` is "pass"; else answers 500 ("fail") or not at all ("hang").

    Attributes:
        once: other modes, by a part of the path. Each holds for one request. "lose" passes it on and loses the answer.
        passed: the paths of the requests that the server behind has answered.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.behind, self.mode, self.released = port, "pass", threading.Event()
        self.once: dict[str, str] = {}
        self.passed: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def mode_of(self, path: str) -> str:
        part = next((part for part in list(self.once) if part in path), None)
        return self.once.pop(part, self.mode) if part else self.mode


class Handler(http.server.BaseHTTPRequestHandler):
    def _pass(self) -> None:
        content, mode = self.rfile.read(int(self.headers.get("Content-Length", 0))), self.server.mode_of(self.path)
        if mode == "hang":
            self.server.released.wait(HUNG_S)
            mode = self.server.mode
        if mode not in ("pass", "lose"):
            self.send_error(500)
            return
        onward = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=HUNG_S)
        onward.request(self.command, self.path, content, dict(self.headers))
        answer = onward.getresponse()
        body = answer.read()
        self.server.passed.append(self.path)
        if mode == "lose":
            return  # which closes the connection
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(server_folder):
    """A real MLflow server on SQLite; its port."""
    folder = server_folder
    stores = ["--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", str(folder / "artifacts")]
    with mlflow_server(folder, *stores) as port:
        yield port


@pytest.fixture
def gate(server, tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 3\n")
    monkeypatch.chdir(tmp_path)
    with Gate(server) as gate:
        threading.Thread(target=gate.serve_forever, daemon=True).start()
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", gate.url)
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        monkeypatch.setattr("cct.tracking.delivery.LONGEST_WAIT", 1.0)
        yield gate
        gate.released.set()
        gate.shutdown()
    mlflow.set_tracking_uri(None)


def row(epoch: int) -> dict[str, float]:
    return dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"), 0.5) | {
        "epoch": epoch
    }


def steps(gate: Gate, run_id: str) -> list[int]:
    client = mlflow.MlflowClient(f"http://127.0.0.1:{gate.behind}")
    return [point.step for point in client.get_metric_history(run_id, "val/accuracy")]


def only_run(gate: Gate, name: str) -> mlflow.entities.Run:
    """The run in the MLflow experiment of this name, which has no other run."""
    client = mlflow.MlflowClient(f"http://127.0.0.1:{gate.behind}")
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return run


@pytest.mark.parametrize("trouble", ["fail", "hang"])
def test_an_outage_in_the_middle_loses_nothing_and_holds_nobody_up(gate, capsys, trouble):
    with watched("train") as tracker:
        tracker.log_epoch(row(1))
        wait_for(tracker, lambda: not tracker.delivery.calls)
        gate.mode, passed = trouble, len(gate.passed)
        tracker.log_epoch(row(2))
        tracker.log_epoch(row(3))
        # The gate is closed still, so logging waited for no answer.
        assert len(tracker.delivery.calls) == 2 and len(gate.passed) == passed
        wait_for(tracker, lambda: tracker.delivery.reason)
        gate.mode = "pass"
        gate.released.set()
        wait_for(tracker, lambda: not tracker.delivery.calls)
    out, said = capsys.readouterr()
    assert said.count("warning: ") == 1 and said.count("MLflow does not answer") == 1 and "answers again" in out
    assert sorted(steps(gate, tracker.run_id)) == [1, 2, 3]


@pytest.mark.parametrize("trouble", ["fail", "hang"])
def test_an_outage_from_the_start_ends_no_stage_and_says_what_to_do(gate, capsys, trouble):
    gate.mode = trouble
    with watched("train") as tracker:
        tracker.log_epoch(row(1))
    # The stage has ended although the gate never opened.
    assert tracker.run_id is None and not gate.passed
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "cct track" in said


def test_a_run_is_opened_without_a_search_and_an_epoch_is_one_request(gate):
    with watched("train") as tracker:
        wait_for(tracker, lambda: not tracker.delivery.calls)
        assert not [path for path in gate.passed if "search" in path]
        before = len(gate.passed)
        for epoch in range(1, 21):
            tracker.log_epoch(row(epoch))
        wait_for(tracker, lambda: not tracker.delivery.calls)
        assert [path.rpartition("/")[2] for path in gate.passed[before:]] == ["log-batch"] * 20


@pytest.mark.parametrize("lost", ["/runs/create", "/runs/log-batch"])
@pytest.mark.parametrize(("stage", "options"), [("train", {}), ("evaluate", {"model_sha256": "a" * 64})])
def test_a_run_whose_answer_got_lost_is_not_made_twice(gate, tmp_path, lost, stage, options):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/history.csv").write_text(HISTORY)
    gate.once[lost] = "lose"
    with watched(stage, **options) as tracker:
        if stage == "train":
            tracker.log_epoch(row(1))
        wait_for(tracker, lambda: not tracker.delivery.calls)
    assert not gate.once
    run = only_run(gate, tmp_path.name)
    assert (run.info.run_id, run.info.status) == (tracker.run_id, "FINISHED")
    assert run.data.params == {"train.epochs": "3"} and "cct.trained_in" not in run.data.tags
    assert steps(gate, tracker.run_id) == [1]


def test_a_model_whose_upload_failed_is_uploaded_again(gate, tmp_path):
    """MLflow links a model to its run before it uploads the files."""
    model = tmp_path / "model.keras"
    model.write_bytes(secrets.token_bytes(1000))
    with watched("train") as tracker:
        gate.once["/models/m-"] = "fail"
        tracker.log_model(model, META, "tensorflow")
        wait_for(tracker, lambda: not tracker.delivery.calls)
    assert not gate.once
    assert len(only_run(gate, tmp_path.name).outputs.model_outputs) == 2
    with model_file(f"runs:/{tracker.run_id}/model") as found:
        assert found.read_bytes() == model.read_bytes()


def test_a_full_disk_for_temporary_files_ends_no_stage(gate, tmp_path, small_disk, monkeypatch, capsys):
    disk = small_disk(64)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(OSError, match="No space left"):
        (disk / "large").write_bytes(bytes(100_000))
    with watched("train") as tracker:
        tracker.log_epoch(row(1))
        wait_for(tracker, lambda: tracker.delivery.reason)
        (disk / "large").unlink()
        wait_for(tracker, lambda: not tracker.delivery.calls)
    assert capsys.readouterr().err.count("warning: ") == 1
    assert steps(gate, tracker.run_id) == [1] and not list(disk.iterdir())


@pytest.mark.parametrize("mode", ["pass", "fail"])
def test_no_secret_is_said_or_kept(gate, server_folder, capfd, monkeypatch, tmp_path, mode):
    password, token = secrets.token_hex(16), secrets.token_hex(16)
    for name in ("MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, token)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gate.url.replace("://", f"://somebody:{password}@"))
    gate.mode = mode
    (tmp_path / f"{mode}.txt").write_text("content")
    with watched("train") as tracker:
        tracker.log_environment(machine_record({"backend": "b", "backend_version": "1", "gpus": []}))
        tracker.log_epoch(row(1))
        tracker.log_artifact(tmp_path / f"{mode}.txt")
    assert (tracker.run_id is not None) == (mode == "pass")
    said = "".join(capfd.readouterr())
    assert ("warning: " in said) == (mode == "fail")
    files = [path for top in (tmp_path, server_folder) for path in top.rglob("*") if path.is_file()]
    assert any(server_folder.rglob(f"{mode}.txt")) == (mode == "pass")
    for secret in (password, token):
        assert secret not in said
        assert not [path for path in files if secret.encode() in path.read_bytes()]


def wait_for(tracker: MlflowTracker, condition: Callable[[], object]) -> None:
    with tracker.delivery.changed:
        assert tracker.delivery.changed.wait_for(condition, HUNG_S)
