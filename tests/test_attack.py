"""Attacks on whole commands: two at once, a full disk."""

import csv
import io
import json
import marshal
import re
import shutil
import subprocess
from pathlib import Path

import mlflow
import pytest
from clones import Clone
from killable import Killable
from runs import OVERRIDES, digests, set_parameters

pytestmark = pytest.mark.attack


def test_two_demos_at_once_are_two_experiments_each_with_its_own_result(make_clone, tmp_path):
    clone = make_clone()
    short = ("-S", "train.epochs=1", "-S", "model.embed_dim=32", "-S", "model.num_layers=1")
    runs = [Killable(clone, tmp_path / f"log{i}", "cct", "demo", *short, "-S", f"train.seed={i}") for i in (1, 2)]
    names = []
    for run in runs:
        assert run.process.wait() == 0, run.log.read_text()
        said = run.log.read_text()
        measured = re.search(r"test accuracy (0\.\d+)", said)[1]
        name, shown = re.search(r"\n(demo-\S+): ([\d.]+)% of", said).groups()
        assert float(shown) == pytest.approx(100 * float(measured), abs=0.01)
        names.append(name)
    listed = clone.run("dvc", "exp", "list", "--name-only").split()
    assert len(set(names)) == 2 and set(names) == set(listed)


def whole(compiled: Path) -> bool:
    try:
        marshal.loads(compiled.read_bytes()[16:])
    except (EOFError, ValueError):
        return False
    return True


@pytest.mark.parametrize("free", [150, 300, 600, 900])
def test_a_disk_that_becomes_full_costs_no_epoch_that_was_written(free, small_disk, make_clone, undisturbed, tmp_path):
    """The repository is on it. The command that failed is given again when there is room."""
    source = make_clone()
    set_parameters(source)
    folder = small_disk(1 << 20)
    shutil.copytree(source.path, folder / "repository", symlinks=True)
    clone = Clone(folder / "repository", tmp_path / "home")
    clone.run("dvc", "repro", "preprocess", MLFLOW_TRACKING_URI="none")
    used = int(subprocess.check_output(["df", "--output=used", folder], text=True).split()[1])
    small_disk(used + free)
    words = {"MLFLOW_TRACKING_URI": "none", "CCT_CHECKPOINT_SECONDS": "0"}
    run = Killable(clone, tmp_path / "log", "dvc", "repro", **words)
    assert run.process.wait() != 0
    said = run.log.read_text()
    assert "No space left" in said and "Traceback" not in said
    saved = sorted(clone.path.glob(".cct/checkpoints/*/*.npz"))
    small_disk(1 << 20)
    torn = [path for path in clone.path.glob("src/**/*.pyc") if not whole(path)]
    if torn:  # Python left them so, and would fail at them for ever
        assert "free space and run the command again" in clone.run("dvc", "repro", code=255, **words)
    said = clone.run("dvc", "repro", **words)
    trained = "Running stage 'train'" in said  # else DVC had got the model
    assert ("resuming after epoch" in said) == (trained and bool(saved))
    assert digests(clone) == undisturbed[1]


CLASSES = ["C++", "it's", "rock (x)", "a,b", "Q&A", "50%", "$x_1$", '"q"', "größe", "鸭 🦆"]


def test_any_name_reaches_every_store_file_and_figure_whole(tmp_path):
    """Of classes, the folder, the descriptor, the branch and the experiment; then the store is made again from them."""
    clone = Clone(tmp_path / "it's 100% é [x]", tmp_path / "home")
    described = (clone.path / "data/sources/digits.yaml").read_text()
    listed = f"classes: {json.dumps(CLASSES, ensure_ascii=False)}"
    own = clone.path / "data/sources/it's mine.yaml"
    own.write_text(re.sub(r"classes: \[.*?\]", lambda found: listed, described))
    clone.run("git", "checkout", "-qb", "it's/a-branch")
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "mine")
    words = [*OVERRIDES, "-S", "train.epochs=1", "-S", "train.warmup_epochs=0", "-S", f'data.source="{own}"']
    said = clone.run("cct", "demo", *words)
    name = re.search(r"\n(demo-\S+): ", said)[1]
    renamed = "it's-one"
    clone.run("dvc", "exp", "rename", name, renamed)
    for path in (clone.path, clone.path / ".." / clone.path.name):  # MLflow keeps a file of one name open
        assert renamed in clone.run("cct", "track", "--exp", renamed)
        client = mlflow.MlflowClient(f"sqlite:///{path}/mlflow.db")
        runs = {run.info.run_name: run for run in client.search_runs(["1"])}
        run = runs[renamed]
        assert run.data.metrics["test/accuracy"] > 0 and run.data.params["data.source"] == str(own)
        kept = Path(client.download_artifacts(run.info.run_id, "reports/per_class.csv", str(tmp_path))).read_text()
        assert [row["class"] for row in csv.DictReader(io.StringIO(kept))] == CLASSES
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
        loaded = mlflow.pyfunc.load_model(model.artifact_location)
        assert loaded.metadata.get_output_schema().input_names() == ["label", *(f"p_{name}" for name in CLASSES)]
        assert "it" in clone.run("cct", "show", run.info.run_id)
        (clone.path / "mlflow.db").unlink()
        shutil.rmtree(clone.path / "mlartifacts")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/processed", "data/processed is a file, and must be a folder: remove it, or move it away"),
        (".cct", "make it a folder that can be written"),
    ],
)
def test_a_file_in_place_of_a_folder_is_said_with_what_to_do(make_clone, name, said):
    clone = make_clone()
    set_parameters(clone)
    (clone.path / name).parent.mkdir(exist_ok=True)
    (clone.path / name).write_text("")
    output = clone.run("dvc", "repro", code=255)
    assert said in output and "Traceback" not in output


def test_a_machine_that_cannot_hold_a_training_is_said_with_the_number(make_clone):
    clone = make_clone()
    set_parameters(clone)
    params = clone.path / "params.yaml"
    params.write_text(re.sub(r"embed_dim: \S+", "embed_dim: 65536", params.read_text()))
    output = clone.run("dvc", "repro", code=255)
    assert re.search(
        r"this training needs [\d,.]+ GiB of memory at the least, and this machine has [\d,.]+ GiB", output
    )
    assert "Traceback" not in output


def test_two_set_ups_at_once_in_a_fresh_clone_make_one_environment_also_without_a_home(make_clone, tmp_path):
    clone = make_clone()
    runs = [Killable(clone, tmp_path / f"log{i}", "make", "setup", HOME="/proc/none") for i in (1, 2)]
    for run in runs:
        assert run.process.wait() == 0, run.log.read_text()
    assert "no mistake" in clone.run(".venv/bin/cct", "check")
    assert not (clone.path / ".venv/home").read_bytes().endswith(b"\n")
    assert "up to date" in clone.run("make", "setup") or "Nothing to be done" in clone.run("make", "setup")
