"""Runs whose MLflow server dies. A real server is behind a gate that refuses, fails or hangs."""

import http.client
import http.server
import secrets
import threading
import time

import mlflow
import pytest
from patience import HUNG_S
from servers import mlflow_server
from watched import watched

from cct.runtime.machine import machine_record

META = {"digest": "d" * 64, "classes": ["a", "b"], "image_shape": [8, 8, 1]}


class Gate(http.server.ThreadingHTTPServer):
    """Passes requests on to a server while `mode` is "pass"; else answers 500 ("fail") or not at all ("hang")."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.behind, self.mode, self.released = port, "pass", threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def _pass(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.mode == "hang":
            self.server.released.wait(HUNG_S)
        if self.server.mode != "pass":
            self.send_error(500)
            return
        onward = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=HUNG_S)
        onward.request(self.command, self.path, content, dict(self.headers))
        answer = onward.getresponse()
        body = answer.read()
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


@pytest.mark.parametrize("trouble", ["fail", "hang"])
def test_an_outage_in_the_middle_loses_nothing_and_takes_no_time(gate, capsys, trouble):
    with watched("train") as tracker:
        tracker.log_epoch(row(1))
        wait_for(lambda: not tracker.delivery.calls)
        gate.mode = trouble
        start = time.perf_counter()
        tracker.log_epoch(row(2))
        tracker.log_epoch(row(3))
        assert time.perf_counter() - start < 0.1, "logging waits for nobody"
        wait_for(lambda: tracker.delivery.reason)
        gate.mode = "pass"
        gate.released.set()
        wait_for(lambda: not tracker.delivery.calls)
    out, said = capsys.readouterr()
    assert said.count("warning: ") == 1 and said.count("MLflow does not answer") == 1 and "answers again" in out
    assert sorted(steps(gate, tracker.run_id)) == [1, 2, 3]


@pytest.mark.parametrize("trouble", ["fail", "hang"])
def test_an_outage_from_the_start_costs_seconds_and_says_what_to_do(gate, capsys, trouble):
    gate.mode = trouble
    start = time.perf_counter()
    with watched("train") as tracker:
        tracker.log_epoch(row(1))
    assert time.perf_counter() - start < 10
    assert tracker.run_id is None
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "cct track" in said


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


def wait_for(condition) -> None:
    end = time.monotonic() + HUNG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
