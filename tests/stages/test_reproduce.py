"""The same bits again: in another folder, at another time, another way; and what says so."""

import dvc.repo
import grimp
import pytest
from runs import ROOT

from cct.params import read_yaml


def test_verify_says_what_is_identical_and_what_differs(undisturbed):
    clone, _ = undisturbed
    said = clone.run("cct", "verify")
    assert "all 18 files are identical" in said, said
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
