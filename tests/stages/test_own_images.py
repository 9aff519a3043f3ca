"""A user's own images through the real pipeline, wherever they are, and when they change."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from killable import Killable
from phone_photos import BAD, CLASSES, write_photos
from runs import THREADS

from cct.repository import git, keep_out_of_git

SMALL = [
    word
    for setting in (
        "preprocess.on_bad_image=skip", "preprocess.image_size=16", "model.name=cct_2_3x1", "model.num_layers=1",
        "model.embed_dim=32", "train.epochs=1", f"runtime.threads={THREADS}",
    )
    for word in ("-S", setting)
]  # fmt: skip


@pytest.fixture(scope="module")
def clone(make_clone):
    clone = make_clone()
    assert write_photos(clone.path / "photos") == 60
    return clone


def meta(clone):
    return json.loads((clone.path / "data/processed/meta.json").read_text())


def preprocess(clone, source, *settings, code=0):
    return clone.run("dvc", "exp", "run", "preprocess", "-S", f"data.source='{source}'", *SMALL, *settings, code=code)


def test_bad_images_are_listed_before_anything_else(clone):
    said = preprocess(clone, "photos/", "-S", "preprocess.on_bad_image=fail", code=255)
    assert "git does not track photos/: .git/info/exclude now keeps it" in said
    assert "photos: 2 of 62 images cannot be used: mend or remove them, or set preprocess.on_bad_image to skip" in said
    assert "apples/IMG_9001.jpg: empty" in said and "猫/IMG_9002.jpg: " in said and "Traceback" not in said


def test_one_command_trains_on_a_folder(clone):
    clone.run("dvc", "exp", "run", "-n", "own", "-S", "data.source=photos/", *SMALL)
    found = meta(clone)
    assert found["examples"] == {"train": 42, "val": 6, "test": 12} and found["image_shape"] == [16, 16, 3]
    assert found["classes"] == sorted(CLASSES) and [one["file"] for one in found["bad_images"]] == list(BAD)
    assert found["ignored"] == {
        "files of an operating system": 1, "hidden files": 2, "images of a format that is not read (.heic)": 1,
        "text files": 1,
    }  # fmt: skip
    metrics = json.loads((clone.path / "reports/metrics.json").read_text())
    assert metrics["test"]["examples"] == 12
    assert "up to date" in clone.run("dvc", "status")
    assert "/photos" in exclude(clone)
    (reference,) = [name for name in clone.run("git", "for-each-ref", "--format=%(refname)").split() if "/own" in name]
    assert "\nphotos/" not in clone.run("git", "ls-tree", "-r", "--name-only", reference)


def test_cct_check_knows_folders(clone):
    before = (clone.path / "params.yaml").read_text()
    try:
        committed = clone.run("git", "show", "HEAD:params.yaml")
        changed = re.sub("source: .*", "source: photos/", committed, count=1)
        (clone.path / "params.yaml").write_text(changed)
        assert "no mistake" in clone.run("cct", "check")
        (clone.path / "params.yaml").write_text(re.sub("source: .*", "source: photo/", changed, count=1))
        assert "data.source = 'photo': there is no such file or folder here" in clone.run("cct", "check", code=1)
    finally:
        (clone.path / "params.yaml").write_text(before)


def exclude(clone):
    return (clone.path / ".git/info/exclude").read_text()


def test_a_new_descriptor_is_part_of_the_experiment(clone):
    mine = clone.path / "data/sources/mine.yaml"
    mine.write_text((clone.path / "data/sources/digits.yaml").read_text())
    clone.run("dvc", "exp", "run", "-n", "mine", "-S", "data.source=data/sources/mine.yaml", "download")
    assert "mine.yaml" not in exclude(clone)
    (reference,) = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/mine").split()
    assert "data/sources/mine.yaml" in clone.run("git", "ls-tree", "-r", "--name-only", reference)


@pytest.mark.parametrize("name", ["a b", "#a", "!a", "a[b]*?", "ä\\b"])
def test_data_that_git_does_not_know_stay_out_of_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (name, "other", "tracked", ".dvc"):
        Path(path).mkdir()
        (Path(path) / "1.png").write_bytes(b"x")
    git(tmp_path, "init")
    git(tmp_path, "add", "tracked", ".dvc")
    assert keep_out_of_git(Path(name)) and not keep_out_of_git(Path(name))
    status = git(tmp_path, "status", "--porcelain")
    assert name not in status and "?? other/" in status
    for path in ("tracked", "..", ".", "/elsewhere"):
        assert not keep_out_of_git(Path(path))


def test_a_last_line_without_an_end_stays_a_line(tmp_path, monkeypatch):
    """Git's list of what it ignores, after an editor."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init")
    for path in (".dvc", "photos"):
        Path(path).mkdir()
    for path in (Path("photos/1.png"), Path("x.log")):
        path.write_bytes(b"x")
    excluded = Path(".git/info/exclude")
    excluded.write_text("*.log")
    assert keep_out_of_git(Path("photos"))
    assert git(tmp_path, "status", "--porcelain") == "" and excluded.read_text() == "*.log\n/photos\n"


def test_a_changed_image_runs_the_pipeline_again(clone):
    """It is the only change: the stages before `preprocess` run too, as the source is theirs."""
    preprocess(clone, "photos/")
    before = meta(clone)["digest"]
    path = clone.path / "photos/apples/IMG_0000.jpg"
    content = path.read_bytes()
    path.write_bytes((clone.path / "photos/猫/IMG_0001.jpg").read_bytes())
    said = clone.run("dvc", "status", "preprocess")
    assert re.search(r"modified:\s+photos", said)
    clone.run("dvc", "repro", "preprocess")
    assert meta(clone)["digest"] != before
    path.write_bytes(content)
    clone.run("dvc", "repro", "preprocess")
    assert meta(clone)["digest"] == before


@pytest.fixture(scope="module")
def expected(clone):
    """The digest of the arrays of the folder in the repository."""
    preprocess(clone, "photos/")
    return meta(clone)["digest"]


@pytest.mark.parametrize("where", ["outside, read-only", "link", "added"])
def test_the_same_arrays_wherever_the_images_are(where, clone, expected, tmp_path):
    place = tmp_path / "photos"
    shutil.copytree(clone.path / "photos", place)
    source = str(place)
    if where == "outside, read-only":
        place = place.rename(tmp_path / "meine schönen Fotos")
        source = os.path.relpath(place, clone.path)
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
    elif where == "link":
        (clone.path / "linked").symlink_to(place)
        source = "linked"
    elif where == "added":
        shutil.copytree(place, clone.path / "added")
        clone.run("dvc", "add", "-q", "added")
        source = "added"
    preprocess(clone, source)
    assert meta(clone)["digest"] == expected
    for path in (place, *place.rglob("*")):  # so that pytest can delete them
        path.chmod(0o755)


def test_an_experiment_elsewhere_says_that_it_does_not_see_the_images(clone):
    said = clone.run("dvc", "exp", "run", "--temp", "preprocess", "-S", "data.source=photos/", code=255)
    assert "photos" in said and "Traceback" not in said


def test_a_queue_sees_images_that_dvc_has(clone):
    shutil.copytree(clone.path / "photos", clone.path / "tracked")
    clone.run("dvc", "add", "-q", "tracked")
    clone.run("git", "add", "tracked.dvc", ".gitignore")
    clone.run("git", "commit", "-qm", "photos")
    clone.run("dvc", "exp", "run", "--temp", "-n", "temp", "preprocess", "-S", "data.source=tracked", *SMALL)
    assert "temp" in clone.run("dvc", "exp", "list", "--name-only")


@pytest.mark.attack  # make test has calls that are interrupted, in test_prepare_images.py
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_preprocess_that_is_ended_resumes(number, clone, tmp_path):
    """Of 600 images. The workers end with it."""
    source = tmp_path / "many"
    write_photos(source, count=200)
    preprocess(clone, str(source))
    expected = meta(clone)["digest"]
    (clone.path / "data/processed/meta.json").unlink()
    clone.run("dvc", "config", "--local", "core.autostage", "false")
    before = set(clone.path.glob(".cct/images/*/"))
    run = Killable(clone, tmp_path / "log", "dvc", "repro", "--force", "preprocess")

    def unfinished() -> set[Path]:
        return {path.parent for path in clone.path.glob(".cct/images/*/facts.bin") if path.stat().st_size}

    run.kill_when(lambda: unfinished() - before, number)
    assert unfinished() - before, run.log.read_text()
    said = clone.run("dvc", "repro", "--force", "preprocess")
    assert re.search(r"resuming after [\d,]+ of 602 images", said), said
    assert meta(clone)["digest"] == expected and not unfinished() - before
