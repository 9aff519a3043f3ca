"""Tests that need more than Python: PostgreSQL, an S3 endpoint, a browser, a served model."""

import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pytest
from browsers import browser, require_browser
from clones import Clone
from patience import HUNG_S
from runs import OVERRIDES, digests, set_parameters
from servers import free_port, mlflow_server, serve

pytestmark = pytest.mark.services
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


def needs(present: object, what: str) -> None:
    if not present:
        pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module")
def clone(make_clone, undisturbed) -> Clone:
    """A clone with the outputs of the undisturbed run, restored from its cache, and one experiment of its own."""
    clone = make_clone()
    set_parameters(clone)
    shutil.copytree(undisturbed[0].path / ".dvc/cache", clone.path / ".dvc/cache")
    clone.run("dvc", "repro")
    assert digests(clone) == undisturbed[1]
    return clone


@pytest.fixture(scope="module")
def postgres():
    """A cluster of its own; the address of its database, without the password, and the password.

    Its folder is none of pytest's: another pytest at the same time takes other users' access to those away.
    """
    needs(POSTGRES, "PostgreSQL")
    password, port = secrets.token_hex(16), free_port()
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="cct-postgres-") as name:
        folder = Path(name)
        if user:  # the server refuses to run as root, and its user has to reach the folder
            shutil.chown(folder, "postgres", "postgres")

        def run(tool: str, *words: str) -> None:
            subprocess.run([POSTGRES.with_name(tool), *words], cwd=folder, check=True, capture_output=True, **user)

        (folder / "password").write_text(password)
        (folder / "password").chmod(0o644)
        data = str(folder / "data")
        run("initdb", "-D", data, "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={folder}/password")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"127.0.0.1:{port}/postgres", password
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """An S3 endpoint; its address, and what a client needs in its environment."""
    needs(importlib.util.find_spec("moto"), "moto")
    port = free_port()
    keys = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(16),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serve(words, port=port, log=tmp_path_factory.mktemp("s3") / "log", path="/moto-api/"):
        yield f"http://127.0.0.1:{port}", keys


def test_a_team_has_one_server_for_runs_and_one_remote_for_files(clone, make_clone, postgres, s3, tmp_path):
    """The commands of docs/server.md."""
    import boto3
    import psycopg

    address, password = postgres
    endpoint, keys = s3
    buckets = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"], region_name=keys["AWS_DEFAULT_REGION"],
    )  # fmt: skip
    for name in ("mlflow", "dvc"):
        buckets.create_bucket(Bucket=name)
    token = secrets.token_hex(16)
    with mlflow_server(
        tmp_path, "--artifacts-destination", "s3://mlflow/artifacts",
        MLFLOW_BACKEND_STORE_URI=f"postgresql://mlflow:{password}@{address}", MLFLOW_S3_ENDPOINT_URL=endpoint, **keys,
    ) as port:  # fmt: skip
        uri = f"http://somebody:{token}@127.0.0.1:{port}"
        said = clone.run("cct", "track", MLFLOW_TRACKING_URI=uri)
        assert "tracked" in said
        assert "is there, checked" in clone.run("cct", "track", MLFLOW_TRACKING_URI=uri)
        client = mlflow.MlflowClient(f"http://127.0.0.1:{port}")
        (run,) = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
        assert run.data.metrics["test/accuracy"] > 0 and run.outputs.model_outputs
        assert client.download_artifacts(run.info.run_id, "figures/confusion_matrix.png", str(tmp_path))
        said += clone.run("cct", "promote", run.info.run_id, MLFLOW_TRACKING_URI=uri)
    stored = [item["Key"] for item in buckets.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert any(key.endswith("figures/confusion_matrix.png") for key in stored)
    assert sum(key.endswith("model.keras") for key in stored) == 1
    with psycopg.connect(f"postgresql://mlflow:{password}@{address}") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        rows = str(database.execute("select key, value from tags union select key, value from params").fetchall())
    # The server's own process and the tracking address had secrets; what people can see has none.
    texts = [said, rows, *(p.read_text(errors="replace") for p in (clone.path / ".cct").rglob("*") if p.is_file())]
    texts += [buckets.get_object(Bucket="mlflow", Key=key)["Body"].read().decode(errors="replace") for key in stored]
    for secret in (token, password, *keys.values()):
        assert secret == "us-east-1" or not any(secret in text for text in texts)

    remote = [("add", "-d", "team", "s3://dvc/cct"), ("modify", "team", "endpointurl", endpoint)]
    other = make_clone()
    for each in (clone, other):
        for words in remote:
            each.run("dvc", "remote", *words)
        for option, name in (("access_key_id", "AWS_ACCESS_KEY_ID"), ("secret_access_key", "AWS_SECRET_ACCESS_KEY")):
            each.run("dvc", "remote", "modify", "--local", "team", option, keys[name])
    clone.run("dvc", "push")
    for name in ("dvc.lock", "params.yaml"):
        shutil.copyfile(clone.path / name, other.path / name)
    other.run("dvc", "pull", "--allow-missing")
    assert (other.path / "models/model.keras").read_bytes() == (clone.path / "models/model.keras").read_bytes()
    tracked = clone.run("git", "grep", "-l", keys["AWS_SECRET_ACCESS_KEY"], code=1)
    assert not tracked and keys["AWS_SECRET_ACCESS_KEY"] not in (clone.path / ".dvc/config").read_text()


def test_a_model_is_served_without_a_network(clone, tmp_path):
    """Images as JSON in, labels and probabilities out: those of `predictions.csv`."""
    clone.run("cct", "track")
    client = mlflow.MlflowClient(f"sqlite:///{clone.path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    uri, port = f"models:/{run.outputs.model_outputs[0].model_id}", free_port()
    mlflow.set_tracking_uri(f"sqlite:///{clone.path}/mlflow.db")
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    words = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-p", str(port), "-m", uri]
    environment = clone.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{clone.path}/mlflow.db"}

    def ask(content: bytes) -> list[dict]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", content, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=HUNG_S) as answer:
            return json.load(answer)["predictions"]

    with serve(words, port=port, log=tmp_path / "log", path="/ping", **environment):
        (answer,) = ask((folder / "serving_input_example.json").read_bytes())
        assert answer.keys() == {"label", *(f"p_{k}" for k in range(10))}
        images = np.load(clone.path / "data/processed/test_inputs.npy")[:20]
        answers = ask(json.dumps({"instances": images.tolist()}).encode())
        for wrong, why in (
            (images / 255, "must be whole numbers of 0 to 255, but "),
            (images[0], "have the shape (8, 8, 1), but must be a batch of shape (n, 8, 8, 1)"),
            (images[:, :4], "have the shape (20, 4, 8, 1), but must be a batch of shape (n, 8, 8, 1)"),
        ):
            for name in ("instances", "inputs"):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    ask(json.dumps({name: wrong.tolist()}).encode())
                answer = json.load(refused.value)
                assert refused.value.code == 400 and answer["error_code"] == "INVALID_PARAMETER_VALUE"
                assert answer["message"].startswith("the inputs ") and why in answer["message"]
                assert len(answer["message"]) < 250 and "stack_trace" not in answer
    rows = (clone.path / "reports/predictions.csv").read_text().splitlines()[1:21]
    assert [answer["label"] for answer in answers] == [row.split(",")[2] for row in rows]
    assert answers[0]["p_0"] == pytest.approx(float(rows[0].split(",")[3]), abs=1e-5)


@pytest.fixture(scope="module")
def two_runs(clone) -> Clone:
    """The clone with a second run, which was trained for longer."""
    clone.run("cct", "track")
    clone.run("dvc", "exp", "run", "--temp", "-n", "longer", *OVERRIDES, "-S", "train.epochs=6")
    return clone


@pytest.fixture(scope="module")
def page(two_runs, tmp_path_factory):
    """A browser on the MLflow UI, as `make ui` serves it, and the address that it says."""
    require_browser()
    port, log = free_port(), tmp_path_factory.mktemp("ui") / "log"
    words = [sys.executable, "-m", "cct.cli", "ui", "--port", str(port)]
    environment = two_runs.environment | {"DVC_ROOT": str(two_runs.path)}
    with serve(words, port=port, log=log, path="/health", **environment), browser() as chromium:
        address = re.search(r"MLflow UI on (\S+)", log.read_text())[1]
        assert address.startswith(f"http://127.0.0.1:{port}/")
        page = chromium.new_page(viewport={"width": 1900, "height": 1000})
        page.set_default_timeout(1000 * HUNG_S)
        yield page, address


def test_the_list_of_runs_has_the_main_metrics_as_columns(page, two_runs):
    page, address = page
    page.goto(address)
    page.get_by_text("2 matching runs").wait_for()
    page.get_by_text("test/accuracy", exact=True).first.wait_for()
    shown = page.inner_text("body")
    for name in ("longer", "test/loss", "best/val_accuracy", "model/parameters", "model.name", "train.epochs"):
        assert name in shown, name
    metrics = json.loads((two_runs.path / "reports/metrics.json").read_text())
    assert f"{metrics['test']['accuracy']:.6g}" in shown


def test_curves_of_two_runs_are_on_one_chart(page):
    page, address = page
    page.goto(f"{address}&compareRunsMode=CHART")
    page.get_by_text("System metrics").wait_for()
    for group in (r"train\s+\(3\)", r"val\s+\(2\)"):  # by the part of the name before the slash
        assert re.search(group, page.inner_text("body"))
    page.get_by_placeholder("Search metric charts").fill("val/accuracy")
    page.locator("svg .scatterlayer .trace").nth(1).wait_for()
    page.wait_for_function("document.querySelectorAll('svg .scatterlayer .trace path.js-line').length >= 2")
    curves = [path.get_attribute("d") for path in page.locator("svg .scatterlayer .trace path.js-line").all()]
    assert len({curve for curve in curves if curve}) >= 2, curves


def test_the_figures_of_a_run_open(page, two_runs):
    page, address = page
    client = mlflow.MlflowClient(f"sqlite:///{two_runs.path}/mlflow.db")
    run = client.search_runs([client.get_experiment_by_name("cct").experiment_id])[0]
    base = address.partition("#")[0]
    page.goto(
        f"{base}#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/figures/confusion_matrix.png"
    )
    image = page.locator("img[src*='figures%2Fconfusion_matrix.png'], img[src^='blob:']").first
    image.wait_for()
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 300)")


def test_what_runs_are_compared_by_is_listed(page, two_runs):
    page, address = page
    client = mlflow.MlflowClient(f"sqlite:///{two_runs.path}/mlflow.db")
    experiment = client.get_experiment_by_name("cct").experiment_id
    identifiers = [run.info.run_id for run in client.search_runs([experiment])]
    query = f"runs={json.dumps(identifiers)}&experiments={json.dumps([experiment])}".replace('"', "%22")
    page.goto(f"{address.partition('#')[0]}#/compare-runs?{query}")
    page.get_by_text("train.epochs").first.wait_for()
    assert "longer" in page.inner_text("body")
