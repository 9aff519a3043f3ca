"""From a trained model to a fine-tuned one, with the real commands."""

import re
import shutil
from pathlib import Path

import dvc.repo
import mlflow
import numpy as np
import pytest
from clones import Clone
from runs import set_values

from cct import cli
from cct.files import sha256_of_file
from cct.models.saving import load_model


@pytest.fixture(scope="module")
def run_id(finished) -> str:
    client = mlflow.MlflowClient(f"sqlite:///{finished.path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    return run.info.run_id


def pretrained(clone: Clone) -> list[str]:
    return sorted(path.name for path in (clone.path / "pretrained").glob("*.keras"))


def test_a_model_is_imported_by_its_content_from_a_file_a_run_or_an_alias(finished, run_id):
    model = finished.path / "models/model.keras"
    sha256 = sha256_of_file(model)
    said = finished.run("cct", "import-model", "models/model.keras")
    name = f"pretrained/digits-{sha256[:8]}.keras"
    assert said == (
        f"{name}: cct_2_3x1 with other fields for inputs of 8x8x1, 10 classes, sha256 {sha256}\n"
        "train: dvc exp run -S model.name=cct_2_3x1 -S model.embed_dim=32 -S model.num_layers=1 "
        f"-S train.init_from={name}\n"
    )
    assert (finished.path / name).read_bytes() == model.read_bytes()
    assert finished.run("git", "diff", "--cached", "--name-only").split() == ["pretrained/.gitignore", f"{name}.dvc"]
    assert finished.run("cct", "import-model", "models/model.keras") == said  # once more changes nothing
    finished.run("cct", "promote", run_id)
    client = mlflow.MlflowClient(f"sqlite:///{finished.path}/mlflow.db")
    (registered,) = [model.name for model in client.search_registered_models()]
    for given, made in (
        ((run_id[:6], "--name", "my run!"), "my-run"),
        ((f"models:/{registered}@champion",), registered),
        ((f"runs:/{run_id}/model",), "digits"),
    ):
        assert f"pretrained/{made}-{sha256[:8]}.keras: " in finished.run("cct", "import-model", *given)
    for other in set(pretrained(finished)) - {Path(name).name}:
        assert sha256_of_file(finished.path / "pretrained" / other) == sha256
        finished.run("git", "rm", "-q", "--cached", f"pretrained/{other}.dvc")
        for path in (other, f"{other}.dvc"):
            (finished.path / "pretrained" / path).unlink()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("abc123", "error: no run abc123 in sqlite:///"),
        ("models:/none@champion", "error: models:/none@champion: MLflow (sqlite:///"),
        (
            "none.keras",
            "error: none.keras is not there: dvc repro makes it, and make demo makes reports/demo/model.keras",
        ),
        ("params.yaml", "error: params.yaml is not a model of this project: "),
        ("nonsense", "error: argument MODEL: 'nonsense' is no file, no address in MLflow, and no identifier of a run"),
        (
            "http://x/y.keras",
            "error: argument MODEL: 'http://x/y.keras' is an address: download the model, and give its",
        ),
        ("", "error: argument MODEL: it is empty: is a variable of the shell not set?"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_is_written(given, said, finished, monkeypatch, capsys):
    monkeypatch.chdir(finished.path)
    before = finished.git_state(), pretrained(finished)
    if "argument MODEL" in said:
        with pytest.raises(SystemExit, match="2"):
            cli.main(["import-model", given])
    else:
        assert cli.main(["import-model", given]) == 1
    assert said in capsys.readouterr().err
    assert (finished.git_state(), pretrained(finished)) == before


def test_another_content_of_the_same_name_is_refused(finished):
    sha256 = sha256_of_file(finished.path / "models/model.keras")
    path = finished.path / f"pretrained/other-{sha256[:8]}.keras"
    path.write_bytes(b"other")
    said = finished.run("cct", "import-model", "models/model.keras", "--name", "other", code=1)
    assert "is there with another content: remove it, or give another --name" in said
    path.unlink()


def test_an_experiment_in_another_folder_starts_from_the_same_weights(finished):
    """Its folder has what git and DVC know. All but pooling and head is frozen, so the file proves the start."""
    finished.run("cct", "import-model", "models/model.keras")
    (name,) = pretrained(finished)
    words = ("-S", f"train.init_from=pretrained/{name}", "-S", "train.freeze=encoder", "-S", "train.epochs=1")
    words += ("-S", "train.warmup_epochs=0", "-S", "train.layer_decay=0.5")
    said = finished.run("dvc", "exp", "run", "--temp", "-n", "fine", *words, "train", MLFLOW_TRACKING_URI="none")
    assert "(sha256 " in said and "19 of 19 tensors copied, head with the same classes" in said
    assert re.search(r"train.freeze = encoder: 363 of [\d,]+ parameters are trained", said)
    finished.run("dvc", "get", ".", "models/model.keras", "--rev", "fine", "-o", "fine.keras")
    source, fine = load_model(finished.path / "pretrained" / name), load_model(finished.path / "fine.keras")
    same = {
        layer.name
        for layer in source.layers
        if layer.weights and all(map(np.array_equal, layer.get_weights(), fine.get_layer(layer.name).get_weights()))
    }
    assert same == {"tokenizer", "positional_embedding", "encoder_0", "norm"}


def changed_by_dvc(clone: Clone) -> list:
    """What changed before `train` as DVC sees it. A repository object remembers what it has read."""
    with dvc.repo.Repo(str(clone.path)) as repository:
        named = {name.rpartition(":")[2]: changes for name, changes in repository.status().items()}
    return named.get("train", [])


def test_dvc_sees_another_content(finished):
    (name,) = pretrained(finished)
    path = finished.path / "pretrained" / name
    finished.run("dvc", "commit", "-f", "train")  # with the folder as it is now
    before = path.read_bytes()
    assert changed_by_dvc(finished) == []
    path.unlink()  # DVC may have linked it to its cache
    path.write_bytes(before + b"\0")
    assert {"changed deps": {"pretrained": "modified"}} in changed_by_dvc(finished)
    path.write_bytes(before)


def test_a_wrong_start_is_refused_before_any_stage_works(finished):
    """Another architecture, another task, no such file: a sentence, from `cct check` and from the first stage."""
    (name,) = pretrained(finished)
    set_values(finished, {"train.init_from": f"pretrained/{name}", "model.num_layers": 3})
    refused = (
        f"error: pretrained/{name} does not fit the section model, cct_2_3x1: it has num_layers 1 and not 3; set -S "
        "model.num_layers=1\n"
    )
    shutil.rmtree(finished.path / "data/raw")
    for words in (("cct", "check"), ("python", "-m", "cct.stages", "download")):
        assert finished.run(*words, code=1, PYTHONPATH="src") == refused
    set_values(finished, {"train.init_from": "pretrained/none.keras"})
    for words in (("cct", "check"), ("python", "-m", "cct.stages", "download")):
        said = finished.run(*words, code=1, PYTHONPATH="src")
        assert said == (
            "error: train.init_from = 'pretrained/none.keras': there is no such file: put it there with cct "
            "import-model\n"
        )
    assert not (finished.path / "data/raw").exists()
