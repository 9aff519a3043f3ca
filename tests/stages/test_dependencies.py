"""A stage's dependencies: earlier stages wrote them, and they do not change while the stage runs."""

import os
import re
import shlex
import shutil
from pathlib import Path

import mlflow
import pytest
from clones import Clone
from killable import Killable
from runs import OUTPUTS

from cct.errors import CCTError
from cct.lockfile import dvc_digest, is_committed, locked_outputs
from cct.pipeline import stages_before
from cct.stages.dependencies import Dependencies


@pytest.fixture
def inside(undisturbed, tmp_path, monkeypatch):
    """A copy of a finished run, as the current folder."""
    shutil.copytree(undisturbed[0].path, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(tmp_path / "repository")
    return Clone(tmp_path / "repository", tmp_path / "home")


def test_digests_are_those_of_dvc(inside):
    locked = locked_outputs()
    assert set(locked) == set(OUTPUTS)
    assert {name: dvc_digest(inside.path / name) for name in locked} == locked


def test_a_device_in_place_of_an_output_is_refused(inside):
    model = inside.path / "models/model.keras"
    model.unlink()
    model.symlink_to("/dev/zero")  # which has no end
    message = "models/model.keras is neither a plain file nor a folder: remove it, then run dvc checkout or dvc repro"
    for words in (["python", "-m", "cct.stages", "evaluate"], ["cct", "track"]):
        assert message in inside.run(*words, code=1)


def test_a_cache_of_dvc_that_cannot_be_written_is_found_before_the_training(inside):
    inside.run("dvc", "config", "--local", "cache.dir", "/proc/none")  # root too cannot write there
    said = inside.run("python", "-m", "cct.stages", "train", code=1, PYTHONPATH="src")
    assert said == "error: cannot write into /proc/none/files/md5/: No such file or directory\n"


def test_what_dvc_ignores_does_not_count(inside):
    before = dvc_digest(Path("data/processed"))
    (inside.path / "data/processed/.DS_Store").write_bytes(b"x")
    assert dvc_digest(Path("data/processed")) != before
    (inside.path / ".dvcignore").write_text(".DS_Store\n")
    assert dvc_digest(Path("data/processed")) == before
    Dependencies("evaluate").require_made_by_stages()
    assert "up to date" in inside.run("dvc", "status")


def test_what_dvc_holds_is_committed(inside, monkeypatch):
    model, history = (locked_outputs()[name] for name in ("models/model.keras", "reports/history.csv"))
    assert is_committed([model, history]) and not is_committed([model, "0" * 32])
    copy = inside.path / ".dvc/cache/files/md5" / model[:2] / model[2:]
    copy.rename(copy.with_suffix(".away"))
    try:
        assert not is_committed([model, history])  # a fresh clone has a dvc.lock, and no cache
    finally:
        copy.with_suffix(".away").rename(copy)
    inside.run("dvc", "exp", "save", "-n", "kept")
    (inside.path / "dvc.lock").unlink()
    assert is_committed([model, history])  # an experiment has them
    inside.run("dvc", "exp", "remove", "kept")
    assert not is_committed([model, history])


def test_a_file_that_was_changed_comes_back_from_a_whole_cache(inside):
    """As after `git checkout` without `dvc checkout`: no good copy may be thrown away."""
    model = inside.path / "models/model.keras"
    whole = model.read_bytes()
    for path, content in ((model, whole + b"x"), (inside.path / "data/processed/train_labels.npy", b"")):
        path.unlink()
        path.write_bytes(content)
        said = inside.run("python", "-m", "cct.stages", "evaluate", code=1, PYTHONPATH="src")
        advice = r"dvc\.lock\. Run (dvc checkout --force \S+) to restore it, or dvc commit to accept the change\n$"
        command = re.search(advice, said)[1]
        inside.run(*command.split())
    assert model.read_bytes() == whole
    Dependencies("evaluate").require_made_by_stages()


def test_stages_before():
    assert stages_before("download") == []
    assert stages_before("evaluate") == ["download", "preprocess", "train"]


def test_an_edit_is_found_and_a_new_date_is_none(inside):
    dependencies = Dependencies("train")
    source, params = inside.path / "src/cct/training/loop.py", inside.path / "params.yaml"
    os.utime(source)
    text, code = params.read_text(), source.read_bytes()
    params.write_text(text.replace("dpi: 120", "dpi: 60"))  # of another stage
    dependencies.require_unchanged()
    for path, content, named in (
        (source, code + b"#", "src/cct/training/loop.py"),
        (
            params,
            text.replace("batch_size: 256", "batch_size: 64").encode(),
            r"params\.yaml \(augment, model, runtime, t",
        ),
        (params, b"train: [", r"params\.yaml \("),
        (inside.path / "data/processed/new", b"", "data/processed"),
        (inside.path / "pretrained/new.keras", b"", "pretrained"),
    ):
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        with pytest.raises(CCTError, match=rf"^{named}.* changed while train ran, so what it made is not recorded"):
            dependencies.require_unchanged()
        path.write_bytes(before) if before is not None else path.unlink()
        dependencies.require_unchanged()
    params.write_text(text)


def test_other_parameters_than_those_of_the_stages_before_are_refused(inside):
    Dependencies("evaluate").require_made_by_stages()
    params = inside.path / "params.yaml"
    params.write_text(params.read_text().replace("dropout: 0.1", "dropout: 0.2"))
    Dependencies("train").require_made_by_stages()
    said = inside.run("python", "-m", "cct.stages", "evaluate", code=1, PYTHONPATH="src")
    assert said == (
        "error: train ran with other values of model than params.yaml has now: run dvc repro, which runs it before "
        "evaluate\n"
    )


def flip(path) -> None:
    """Change a bit of a file, and leave its date and rights as they are, as a disk does."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("output", "file", "stage", "edit"),
    [
        ("models/model.keras", "models/model.keras", "evaluate", ("level: 0.95", "level: 0.9")),
        ("data/processed", "data/processed/train_labels.npy", "train", ("decay: 0.06", "decay: 0.05")),
    ],
)
def test_a_file_that_is_damaged_in_dvcs_cache_is_not_used_and_comes_back(inside, output, file, stage, edit):
    """DVC checks it out, and says that it is up to date. What the message says to do is done."""
    copies = inside.path / ".dvc/cache/files/md5"
    digest, whole = dvc_digest(inside.path / file), dvc_digest(inside.path / output)
    flip(copies / digest[:2] / digest[2:])
    inside.run("rm", "-rf", output)
    inside.run("dvc", "checkout")
    assert dvc_digest(inside.path / output) != whole
    assert "up to date" in inside.run("dvc", "status")
    if output == file:
        assert "DVC's cache is damaged" in inside.run("cct", "track", code=1)
    params = inside.path / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace(*edit))
    assert params.read_text() != text
    said = inside.run("dvc", "repro", stage, code=255)
    where = re.search(rf"error: {output} is not what its stage wrote: .* {whole} in dvc\.lock.*", said)
    assert where, said
    params.write_text(text)
    command = where[0].partition("or dvc repro: ")[2]
    assert len(shlex.split(command)) == 4  # rm, -rf, the output, the damaged file
    inside.run("sh", "-c", command)
    inside.run("dvc", "repro")
    assert dvc_digest(inside.path / output) == whole


EDITS = {
    "params.yaml": lambda text: re.sub(r"(learning_rate: )1e-3", r"\g<1>2e-3", text, count=1),
    "src/cct/training/loop.py": lambda text: text + "raise SystemExit(1)\n",
}


@pytest.mark.attack
@pytest.mark.parametrize("name", EDITS)
def test_a_file_that_is_edited_while_it_is_used_stops_the_stage_and_costs_no_training(inside, name, tmp_path):
    params = inside.path / "params.yaml"
    params.write_text(params.read_text().replace("label_smoothing: 0.1", "label_smoothing: 0.2"))
    lock = (inside.path / "dvc.lock").read_text()
    path = inside.path / name
    before = path.read_text()
    run = Killable(inside, tmp_path / "log")
    run.stop_when(run.said("epoch 1/3"))
    path.write_text(EDITS[name](before))
    assert path.read_text() != before
    run.resume()
    assert run.process.wait() == 255
    said = run.log.read_text()
    assert f"error: {name}" in said and "changed while train ran" in said
    assert (inside.path / "dvc.lock").read_text() == lock
    status = inside.run("dvc", "status")
    assert "train:" in status and "up to date" not in status
    client = mlflow.MlflowClient(f"sqlite:///{inside.path}/mlflow.db")
    newest = client.search_runs(["1"], order_by=["attributes.start_time DESC"])[0]
    assert newest.info.status == "FAILED" and newest.data.params["train.learning_rate"] == "0.001"
    path.write_text(before)
    assert "resuming after epoch 3 of 3" in inside.run("dvc", "repro")


@pytest.mark.attack
def test_a_full_cache_of_dvc_costs_no_training(inside, small_disk):
    params = inside.path / "params.yaml"
    params.write_text(params.read_text().replace("weight_decay: 0.06", "weight_decay: 0.01"))
    inside.run("dvc", "config", "--local", "cache.dir", str(small_disk(40)))
    said = inside.run("dvc", "repro", "train", "-s", code=255)
    assert "epoch 3/3" in said and "No space left" in said
    inside.run("dvc", "config", "--local", "--unset", "cache.dir")
    said = inside.run("dvc", "repro")
    assert "resuming after epoch 3 of 3" in said and "epoch 1/3" not in said
