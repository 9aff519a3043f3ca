"""DVC experiments as MLflow runs: queued, restored, brought back, repeated, promoted, served."""

import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pytest
from clones import Clone
from runs import OVERRIDES, digests

# Two that are equal, to each other and to the undisturbed run, and one that is not.
QUEUED = {
    "twin-0": (),
    "twin-1": (),
    "one-epoch": ("-S", "train.epochs=1", "-S", "train.warmup_epochs=0"),
}


@pytest.fixture(scope="module")
def clone(make_clone):
    return make_clone()


@pytest.fixture(scope="module")
def queue(clone):
    """What DVC says while three workers start at once on a fresh clone."""
    for name, changes in QUEUED.items():
        clone.run("dvc", "exp", "run", "--queue", "-n", name, *OVERRIDES, *changes)
    yield clone.run("dvc", "exp", "run", "--run-all", "-j", "3")
    clone.run("dvc", "queue", "stop", "--kill")  # a worker that missed its shutdown


@pytest.fixture
def client(clone, queue):
    return opened(clone)


def apply(clone: Clone, name: str) -> None:
    """Bring an experiment into the work tree, whatever an earlier test has left there."""
    clone.run("git", "checkout", "--force", "-q", "HEAD")
    clone.run("dvc", "exp", "apply", name)


def opened(clone: Clone, *, anew: bool = False) -> mlflow.MlflowClient:
    """A client of the clone's store. MLflow keeps a file that it opened once open: `anew` for another of that name."""
    base = clone.path / ".." / clone.path.name if anew else clone.path
    return mlflow.MlflowClient(f"sqlite:///{base}/mlflow.db")


def runs(client: mlflow.MlflowClient) -> dict[str, list[mlflow.entities.Run]]:
    """All runs, by name."""
    found: dict[str, list] = {}
    for run in client.search_runs([client.get_experiment_by_name("cct").experiment_id]):
        found.setdefault(run.info.run_name, []).append(run)
    return found


def commits(clone: Clone) -> dict[str, str]:
    lines = clone.run("git", "for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", "refs/exps/*/*/*")
    return dict(line.split() for line in lines.splitlines())


def test_three_workers_at_once_make_three_complete_runs(clone, queue, client):
    assert not re.search("ERROR|warning: |Traceback", queue), queue
    assert commits(clone).keys() >= QUEUED.keys()
    found = runs(client)
    for name in QUEUED:
        (run,) = found[name]
        assert run.info.status == "FINISHED"
        epochs = 1 if name == "one-epoch" else 3
        assert run.data.params["train.epochs"] == str(epochs)
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == epochs
        assert "best/val_accuracy" in run.data.metrics and run.outputs.model_outputs
        assert run.data.tags["cct.experiment"] == name
        # Of twins DVC may restore what the other one has finished: the stages that log it do not run then.
        if not name.startswith("twin"):
            assert {"test/accuracy", "model/parameters"} <= run.data.metrics.keys()
            assert files(client, run).keys() >= FILES


FILES = {"figures/confusion_matrix.png", "reports/metrics.json", "reports/history.csv", "params.yaml", "dvc.lock"}


def files(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> dict[str, bytes]:
    """The artifacts of a run."""
    found = [f for folder in (None, "figures", "reports") for f in client.list_artifacts(run.info.run_id, folder)]
    with TemporaryDirectory() as folder:
        return {
            file.path: Path(client.download_artifacts(run.info.run_id, file.path, folder)).read_bytes()
            for file in found
            if not file.is_dir
        }


def test_another_folder_time_and_command_give_the_same_files_even_twice_at_once(clone, queue, undisturbed):
    found = commits(clone)
    locks = {clone.run("git", "show", f"{found[name]}:dvc.lock") for name in ("twin-0", "twin-1")}
    assert locks == {(undisturbed[0].path / "dvc.lock").read_text()}
    apply(clone, "twin-0")
    assert digests(clone) == undisturbed[1]


def test_equal_models_are_stored_once(clone, client):
    found = runs(client)
    models = {name: run.outputs.model_outputs[0].model_id for name, (run,) in found.items()}
    assert models["twin-0"] == models["twin-1"] and len(set(models.values())) == 2
    assert len(list(clone.path.glob("mlartifacts/**/model.keras"))) == 2


def test_dvc_and_mlflow_show_the_same_numbers(clone, client):
    shown = json.loads(clone.run("dvc", "exp", "show", "--json", "--no-pager"))
    (baseline,) = [row for row in shown if row["experiments"]]
    for group in baseline["experiments"]:
        (run,) = runs(client)[group["name"]]
        data = group["revs"][0]["data"]
        numbers = data["metrics"]["reports/metrics.json"]["data"]
        for name in ("accuracy", "top_5_accuracy", "loss"):
            assert run.data.metrics[f"test/{name}"] == pytest.approx(numbers["test"][name], abs=1e-12)
        train = data["params"]["params.yaml"]["data"]["train"]
        assert run.data.params["train.seed"] == str(train["seed"])
        assert run.data.params["train.epochs"] == str(train["epochs"])


def test_verify_against_an_experiment_names_what_differs(clone, queue):
    name = "twin-1"
    apply(clone, "twin-0")
    count = len(digests(clone)) - 1  # but for dvc.lock
    assert f"all {count} files are identical" in clone.run("cct", "verify", "--against", name)
    history, figure = clone.path / "reports/history.csv", clone.path / "reports/figures/confusion_matrix.png"
    first, second, *rest = history.read_text().splitlines()
    epoch, loss, *others = second.split(",")
    history.unlink()  # DVC may have made it a link to its cache
    history.write_text("\n".join([first, ",".join([epoch, str(float(loss) + 5e-4), *others]), *rest, ""]))
    said = clone.run("cct", "verify", "--against", name, code=3)
    assert "line 2, train_loss" in said and f"{count - 1} of {count} files are identical, 1 differ within" in said
    figure.unlink()
    said = clone.run("cct", "verify", "--against", name, code=1)
    assert "1 beyond it" in said and "equal bits were to be expected" in said
    for revision in ("nothing", "HEAD:src", "HEAD^{tree}"):
        said = clone.run("cct", "verify", "--against", revision, code=1)
        assert f"error: cannot get the files of {revision}" in said and "Traceback" not in said


def contents(client: mlflow.MlflowClient) -> dict:
    """All that a person sees of the runs, without identifiers and times."""
    found = {}
    for name, same in runs(client).items():
        for run in same:
            metrics = {
                key: sorted({(p.step, p.value) for p in client.get_metric_history(run.info.run_id, key)})
                for key in run.data.metrics
                if not key.startswith("system/")
            }
            tags = {key: value for key, value in run.data.tags.items() if key.startswith("cct.")}
            key = (name, run.data.params["plot.dpi"])
            assert key not in found, key
            found[key] = (
                run.data.params,
                metrics,
                tags,
                files(client, run),
                run.info.status,
                bool(run.outputs.model_outputs),
            )
    return found


def test_a_restored_training_is_said_to_be_one_and_the_run_is_whole(clone, client):
    """Only `plot` runs: DVC has the rest in its cache."""
    said = clone.run("dvc", "exp", "run", "-n", "finer", *OVERRIDES, "-S", "plot.dpi=90")
    assert "epoch 1" not in said
    (run,), (twin,) = runs(client)["finer"], runs(client)["twin-1"]
    assert run.data.tags["cct.training"] == "restored"
    origin = client.get_run(run.data.tags["cct.trained_in"])
    assert origin.info.run_name in ("twin-0", "twin-1")
    for name in ("train/loss", "val/accuracy"):
        assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)] == [
            (p.step, p.value) for p in client.get_metric_history(twin.info.run_id, name)
        ]
    assert run.data.metrics["test/accuracy"] == twin.data.metrics["test/accuracy"]
    assert run.outputs.model_outputs[0].model_id == twin.outputs.model_outputs[0].model_id


def test_track_adds_nothing_where_all_is_there_and_brings_back_all_where_nothing_is(clone, client):
    apply(clone, "twin-0")
    said = clone.run("cct", "track", "--all")
    count = len(commits(clone))
    assert said.count("is there") == count + 1  # the work tree is one of them
    before = contents(client)  # of a twin that DVC restored, this was the first time to see its evaluation
    assert len(before) == count
    for name, commit in commits(clone).items():
        kept = files(client, runs(client)[name][0])
        assert kept.keys() >= FILES
        assert kept["dvc.lock"].decode().strip() == clone.run("git", "show", f"{commit}:dvc.lock").strip()
    assert clone.run("cct", "track", "--all") == said
    assert contents(client) == before
    away = clone.path.parent / "away"
    away.mkdir()
    for name in ("mlflow.db", "mlartifacts"):
        (clone.path / name).rename(away / name)
    try:
        said = clone.run("cct", "track", "--all")
        assert said.count("tracked") == count and said.count("is there") == 1
        after = contents(opened(clone, anew=True))
    finally:
        (clone.path / "mlflow.db").unlink()
        shutil.rmtree(clone.path / "mlartifacts")
        for name in ("mlflow.db", "mlartifacts"):
            (away / name).rename(clone.path / name)
    assert after.keys() == before.keys()
    for key, (params, metrics, tags, artifacts, *rest) in before.items():
        assert after[key][0] == params
        assert after[key][1] == metrics
        # What only the process that trained could know is not in DVC's files.
        assert set(artifacts) - set(after[key][3]) <= {"environment.json"}
        for name in artifacts.keys() & after[key][3].keys():
            assert after[key][3][name] == artifacts[name], name
        known = set(tags) - {"cct.backend", "cct.device", "cct.host", "cct.training", "cct.trained_in"}
        assert {name: after[key][2].get(name) for name in known} == {name: tags[name] for name in known}
        assert list(after[key][4:]) == rest
    assert "did you mean twin-1" in clone.run("cct", "track", "--exp", "twin-11", code=1)


def test_a_run_says_how_to_have_it_again(clone, client):
    (run,) = runs(client)["one-epoch"]
    said = clone.run("cct", "show", run.info.run_id)
    baseline = clone.run("git", "rev-parse", "HEAD").strip()
    for word in (
        "experiment one-epoch",
        f"commit {baseline}",
        run.data.tags["cct.model_sha256"],
        "dirty false",
    ):
        assert word in re.sub(" +", " ", said)
    command = next(line for line in said.splitlines() if line.startswith("command"))
    assert f"git checkout {baseline[:12]} && dvc exp run" in command and "-S train.epochs=1" in command
    clone.run("git", "checkout", "--force", "-q", "HEAD")
    said = clone.run("cct", "show", run.info.run_id, "--apply")
    assert "experiment one-epoch is in the work tree" in said
    assert "epochs: 1" in (clone.path / "params.yaml").read_text()
    assert "commit or stash" in clone.run("cct", "show", run.info.run_id, "--apply", code=1)
    assert "error: no run 0123456789abcdef" in clone.run("cct", "show", "0123456789abcdef", code=1)


def test_a_run_is_promoted(clone, client):
    """By which rule is tested in `test_promote.py`."""
    run = runs(client)["one-epoch"][0].info
    said = clone.run("cct", "promote", run.run_id[:8])
    name = re.match(r"models:/(cct-digits-\w{8})@champion is version 1", said)[1]
    champion = client.get_model_version_by_alias(name, "champion")
    assert int(champion.version) == 1 and champion.run_id == run.run_id


def test_dvc_repro_is_one_run_named_after_branch_and_commit(undisturbed):
    clone, _ = undisturbed
    (same,) = runs(opened(clone)).values()
    (run,) = same
    commit = clone.run("git", "rev-parse", "HEAD").strip()
    assert run.info.run_name == f"main@{commit[:7]}" and run.data.tags["cct.commit"] == commit
    assert run.info.status == "FINISHED" and files(opened(clone), run).keys() >= FILES
    assert "dvc exp run -S data.source=" in run.data.tags["cct.command"]
