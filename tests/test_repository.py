"""Commands in a folder of a clone, outside a clone, and in a clone without history."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from clones import DEFAULTS, ROOT, Clone

from cct import cli
from cct.dvc import require_up_to_date
from cct.errors import CCTError
from cct.experiments.settings import merged
from cct.experiments.workspace import clone_work_tree
from cct.params import read_yaml
from cct.repository import require_own_repository


@pytest.mark.parametrize("folder", ["src", "data/sources"])
def test_commands_find_the_root(folder, monkeypatch, capsys):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(ROOT / folder)
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().out.startswith("params.yaml: ")
    monkeypatch.chdir(ROOT / folder)
    assert cli.main(["check", "params.yaml"]) == 1  # a file is named from where the user is
    assert f"cannot read {folder}/params.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["demo"], ["preset", "fast"], ["check"], ["ablate"], ["ui"], ["verify"], ["track"]])
def test_outside_of_a_clone_commands_say_so(words, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} is not in a clone of this project: cd into one\n"
    assert cli.main(["models"]) == 0


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b"])
def test_a_path_that_dvc_takes_for_an_address_is_refused(name, tmp_path, monkeypatch, capsys):
    (tmp_path / name / ".dvc").mkdir(parents=True)
    (tmp_path / name / "dvc.yaml").touch()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path / name)
    assert cli.main(["demo"]) == 1
    assert f"{name[1:-1]!r} in its path, and DVC would lose the experiment" in capsys.readouterr().err


def test_a_subfolder_of_another_repository_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    project = tmp_path / "project"
    shutil.copytree(ROOT / "presets", project / "presets")
    shutil.copy(DEFAULTS, project / "params.yaml")
    (project / ".dvc").mkdir()
    (project / "dvc.yaml").touch()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(project)
    message = f"error: {project} is a subfolder of the git repository {tmp_path}, where DVC's experiments fail: make"
    for words in (["demo"], ["ablate"]):
        assert cli.main(words) == 1 and capsys.readouterr().err.startswith(message)
    with pytest.raises(CCTError, match="is a subfolder of the git repository"):
        clone_work_tree(project, tmp_path / "clone")
    require_own_repository(tmp_path)


def project(top: Path, values: dict[str, str]) -> None:
    """A pipeline, and parameters with some values."""
    (top / ".dvc").mkdir(parents=True)
    (top / ".dvc/config").touch()
    shutil.copy(ROOT / "dvc.yaml", top / "dvc.yaml")
    content = merged(read_yaml(DEFAULTS), values)
    (top / "params.yaml").write_text(yaml.safe_dump(content))


def commit(top: Path) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", "-C", str(top), *words], check=True)


def test_a_clone_has_the_changes_and_what_parameters_name(tmp_path):
    """Also what git does not know: a folder of images, and vectors that DVC has."""
    top = tmp_path / "project"
    for name in ("photos/a/1.png", "data/vectors/v.txt", "kept", "removed"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("before")
    project(top, {"data.source": "photos/", "preprocess.embeddings": "data/vectors/v.txt"})
    (top / ".gitignore").write_text("/data/vectors/v.txt\n/photos/a/2.png\n")
    commit(top)
    (top / "photos/a/1.png").write_text("after")
    (top / "photos/a/2.png").write_text("ignored")
    (top / "removed").unlink()
    latin_1 = os.fsencode(top) + b"/caf\xe9"
    Path(os.fsdecode(latin_1)).write_text("new")
    clone = clone_work_tree(top, tmp_path / "clone")
    assert (clone / "photos/a/1.png").read_text() == "after" and (clone / "photos/a/2.png").read_text() == "ignored"
    assert (clone / "data/vectors/v.txt").read_text() == "before" and (clone / "kept").read_text() == "before"
    assert not (clone / "removed").exists() and os.path.exists(os.fsencode(clone) + b"/caf\xe9")


def test_a_clone_has_its_data_above_it_too_and_nothing_outside_of_its_folder(tmp_path):
    top, folder = tmp_path / "a/project", tmp_path / "b/c/clones"
    project(top, {"data.source": "../../photos/train"})
    (tmp_path / "photos/train/a").mkdir(parents=True)
    (tmp_path / "photos/train/a/1.png").write_text("one")
    commit(top)
    clone = clone_work_tree(top, folder)
    photos = Path(os.path.normpath(clone / "../../photos/train"))
    assert photos.is_relative_to(folder) and (photos / "a/1.png").read_text() == "one"
    assert [path.name for path in (tmp_path / "b/c").iterdir()] == ["clones"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["c"]


def test_a_clone_has_every_file_that_dvc_has_where_stages_read(tmp_path):
    """Also a model that no parameter names, and the rest of a folder of which they name a part: DVC looks for them."""
    top = tmp_path / "project"
    project(top, {"data.source": "photos/train"})
    in_dvc = ("pretrained/a.keras", "pretrained/b.keras", "data/vectors/v.txt")
    files = (*in_dvc, "photos/train/1.png", "photos/test/2.png")
    for name in files:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    for name in (*in_dvc, "photos"):
        (top / f"{name}.dvc").write_text("outs:\n")
    (top / ".gitignore").write_text("*.keras\n/data/vectors/v.txt\n/photos\n")
    commit(top)
    clone = clone_work_tree(top, tmp_path / "clones")
    assert all((clone / name).read_text() == name for name in files)


def test_a_mistake_in_params_yaml_is_said_before_the_demo_starts(tmp_path, monkeypatch, capsys):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text(DEFAULTS.read_text().replace(" batch_size:", " batchsize:", 1))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("cct.commands.demo.run_dvc", lambda *words: pytest.fail("DVC was started"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo"]) == 1
    assert "params.yaml has 2 mistakes:" in capsys.readouterr().err


def test_an_experiment_that_dvc_would_lose_is_refused_before_it_runs(make_clone, tmp_path):
    """In a clone of one commit. In the work tree itself DVC keeps it."""
    whole = make_clone()
    whole.run("git", "commit", "-q", "--allow-empty", "-m", "second")
    words = ["git", "clone", "-q", "--depth", "1", f"file://{whole.path}", str(tmp_path / "shallow")]
    subprocess.run(words, check=True)
    shallow = Clone(tmp_path / "shallow", tmp_path / "home")
    advice = "was cloned without its history (--depth), and DVC would lose the experiment: run git fetch --unshallow"
    assert shallow.run("cct", "demo", code=1).startswith(f"error: {shallow.path} {advice}")
    assert advice in shallow.run("cct", "ablate", code=1)
    identity = {f"GIT_{role}_{field}": "a" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    words = ("-S", "data.source=data/sources/digits.yaml", "download")
    assert advice in shallow.run("dvc", "exp", "run", "--temp", *words, code=255, **identity)
    said = shallow.run("dvc", "exp", "run", "-n", "here", *words, **identity)
    assert said.count("No file hash info found for '") == said.count("WARNING") > 0
    assert "(DVC's warnings above, No file hash info found for ..., are harmless" in said
    assert "here" in shallow.run("dvc", "exp", "list", "--name-only")
    shallow.run("git", "fetch", "-q", "--unshallow")
    shallow.run("dvc", "exp", "run", "--temp", "-n", "beside", *words, **identity)
    assert "beside" in shallow.run("dvc", "exp", "list", "--name-only")


def test_a_lock_of_dvc_that_a_power_cut_emptied_comes_with_its_remedy(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("dvc.yaml", "data/sources"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    shutil.copy(DEFAULTS, tmp_path / "params.yaml")
    lock = tmp_path / ".dvc/tmp/rwlock"
    for content in ("", '{"read": 1}'):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(content)
        with pytest.raises(CCTError, match=r"^/.*/\.dvc/tmp/rwlock is damaged, as .*: remove it when no other DVC"):
            require_up_to_date(tmp_path)
    lock.unlink()
    with pytest.raises(CCTError, match=r"^the files here were not made by the present parameters and code"):
        require_up_to_date(tmp_path)
