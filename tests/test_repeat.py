"""The same bits again: in another folder, at another time, another way; and what says so."""

import subprocess

import dvc.repo
import grimp
import pytest
from runs import OVERRIDES, ROOT, digests

from cct.params import read_yaml


def test_another_folder_time_and_command_give_the_same_files_even_twice_at_once(undisturbed, make_clone, tmp_path):
    other = make_clone()
    logs = [tmp_path / "0", tmp_path / "1"]
    processes = [
        subprocess.Popen(
            ["dvc", "exp", "run", "--temp", "-n", f"twin-{log.name}", *OVERRIDES], cwd=other.path,
            env=other.environment, stdout=log.open("wb"), stderr=subprocess.STDOUT,
        )
        for log in logs
    ]  # fmt: skip
    assert [process.wait(200) for process in processes] == [0, 0], [log.read_text() for log in logs]
    commits = other.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/twin-*").split()
    assert len(commits) == 2
    locks = {other.run("git", "show", f"{commit}:dvc.lock") for commit in commits}
    assert locks == {(undisturbed[0].path / "dvc.lock").read_text()}
    other.run("dvc", "exp", "apply", "twin-0")
    assert digests(other) == undisturbed[1]
    name = "twin-1"
    assert "all 17 files are identical" in other.run("cct", "verify", "--against", name)
    history, figure = other.path / "reports/history.csv", other.path / "reports/figures/confusion.png"
    first, second, *rest = history.read_text().splitlines()
    epoch, loss, *others = second.split(",")
    history.unlink()  # DVC may have made it a link to its cache
    history.write_text("\n".join([first, ",".join([epoch, str(float(loss) + 5e-4), *others]), *rest, ""]))
    said = other.run("cct", "verify", "--against", name, code=3)
    assert "line 2, train_loss" in said and "16 of 17 files are identical, 1 differ within" in said
    figure.unlink()
    said = other.run("cct", "verify", "--against", name, code=1)
    assert "1 beyond it" in said and "equal bits were to be expected" in said
    assert "error: the files of nothing are not to be had" in other.run("cct", "verify", "--against", "nothing", code=1)


def test_verify_says_what_is_identical_and_what_differs(undisturbed):
    clone, _ = undisturbed
    said = clone.run("cct", "verify")
    assert "all 17 files are identical" in said, said
    history = clone.path / "reports/history.csv"
    before = history.read_text()
    try:
        history.unlink()  # DVC may have made it a link to its cache
        history.write_text(before.replace("train_loss", "training_loss"))
        said = clone.run("cct", "verify", code=1)
        assert "error: the files here are not those of the present parameters and code (train" in said
    finally:
        history.write_text(before)


@pytest.fixture(scope="module")
def depends(undisturbed):
    """For each source file, the stages whose code imports it, however deep and late."""
    graph = grimp.build_graph("cct", cache_dir=None)
    stages = list(read_yaml(ROOT / "dvc.yaml")["stages"])
    uses = {stage: {f"cct.stages.{stage}", *graph.find_upstream_modules(f"cct.stages.{stage}")} for stage in stages}
    return {
        path: {
            stage for stage in stages if ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) in uses[stage]
        }
        for path in sorted((ROOT / "src/cct").rglob("*.py"))
        if path.name != "__init__.py"
    }


def test_an_edit_of_a_source_file_reruns_the_stages_that_use_it_and_no_other(undisturbed, depends):
    clone, _ = undisturbed
    assert {frozenset(), frozenset(read_yaml(ROOT / "dvc.yaml")["stages"])} <= {frozenset(s) for s in depends.values()}
    for path, stages in depends.items():
        file = clone.path / path.relative_to(ROOT)
        before = file.read_bytes()
        file.write_bytes(before + b"\n# edited\n")
        try:
            with dvc.repo.Repo(str(clone.path)) as repository:
                assert {name.rpartition(":")[2] for name in repository.status()} == stages, file.name
        finally:
            file.write_bytes(before)
    with dvc.repo.Repo(str(clone.path)) as repository:
        assert repository.status() == {}
