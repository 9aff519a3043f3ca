"""`dvc.yaml` is right: a stage's dependencies there are the files and parameters that its code imports and reads."""

import ast
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import dvc.repo
import pytest
from clones import ROOT

from cct import paths
from cct.errors import CCTError
from cct.params import SECTIONS
from cct.pipeline import read_stages, stage_code_files, stage_outputs

STAGES = read_stages(ROOT)
ALL = "download preprocess train evaluate plot"
# An edit of a file runs these stages again. Of the rows that a file matches the longest counts.
EDITS = {
    "augment/preview.py": "plot",
    "augment/*.py": "train plot",
    "cli.py": "",
    "commands/*.py": "",
    "data/arrays.py": ALL,
    "data/archives.py": "preprocess",
    "data/containers.py": "preprocess",
    "data/download.py": "download",
    "data/formats/*.py": "download preprocess",
    "data/groups.py": "preprocess",
    "data/images/*.py": "preprocess",
    "data/kinds.py": "preprocess",
    "data/listing.py": "preprocess",
    "data/params.py": "download preprocess",
    "data/plain_files.py": "preprocess",
    "data/prepare.py": "preprocess",
    "data/sources.py": "download preprocess",
    "data/splits.py": "download preprocess",
    "data/tables.py": "preprocess",
    "data/texts/*.py": "preprocess",
    "data/texts/tokens.py": "preprocess plot",
    "data/store.py": "preprocess train evaluate plot",
    "data/transfer.py": "download",
    "dvc.py": "",
    "dvc_patches/*.py": "",
    "entry.py": "",
    "errors.py": ALL,
    "evaluation/attention.py": "evaluate",
    "evaluation/calibration.py": "train",
    "evaluation/conformal.py": "train evaluate plot",
    "evaluation/examples.py": "evaluate plot",
    "evaluation/figures/*.py": "plot",
    "evaluation/metrics.py": "evaluate plot",
    "evaluation/params.py": "",  # the parameters are dependencies themselves; their schema can only refuse them
    "evaluation/per_class.py": "evaluate plot",
    "evaluation/predictions.py": "evaluate plot",
    "evaluation/reports.py": "plot",
    "evaluation/softmax.py": "train evaluate plot",
    "experiments/*.py": "",
    "files.py": ALL,
    "inference/*.py": "",
    "inspection/*.py": "",
    "lockfile.py": "train",
    "log.py": "download",
    "markers.py": "",
    "models/architectures.py": "train evaluate",
    "models/build.py": "train",
    "models/build_text.py": "train",
    "models/cost.py": "train evaluate",
    "models/fields.py": "train evaluate",
    "models/layers/*.py": "train evaluate",
    "models/metadata.py": "train evaluate",
    "models/names.py": "train evaluate",
    "models/saving.py": "train evaluate",
    "models/starting.py": "",
    "models/text_cost.py": "train evaluate",
    "models/torch_import.py": "",
    "models/transfer.py": "train",
    "models/workload.py": "",
    "param_docs.py": "",
    "overrides.py": "train",
    "params.py": ALL,
    "paths.py": ALL,
    "pipeline.py": "preprocess train",
    "repository.py": "preprocess train",
    "runtime/*.py": "train evaluate",
    "runtime/machine.py": "preprocess train evaluate",
    "serving/*.py": "",
    "stages/__main__.py": "",
    "stages/dependencies.py": "",
    "stages/download.py": "download",
    "stages/evaluate.py": "evaluate",
    "stages/plot.py": "plot",
    "stages/preprocess.py": "preprocess",
    "stages/train.py": "train",
    "strict_yaml.py": ALL,
    "tables.py": "train evaluate plot",
    "tasks/checks.py": "",
    "tasks/evaluation.py": "evaluate",
    "tasks/figures.py": "plot",
    "tasks/image_classification/attention.py": "evaluate",
    "tasks/image_classification/checks.py": "train",
    "tasks/image_classification/evaluation.py": "evaluate",
    "tasks/image_classification/explaining.py": "",
    "tasks/image_classification/figures.py": "plot",
    "tasks/image_classification/files.py": "",
    "tasks/image_classification/inference.py": "",
    "tasks/image_classification/preparation.py": "preprocess",
    "tasks/image_classification/training.py": "train",
    "tasks/inference.py": "",
    "tasks/inputs.py": "",
    "tasks/named.py": "",
    "tasks/lookup.py": "train evaluate plot",
    "tasks/preparation.py": "preprocess",
    "tasks/text_classification/attention.py": "evaluate",
    "tasks/text_classification/augmentation.py": "train",
    "tasks/text_classification/checks.py": "train",
    "tasks/text_classification/evaluation.py": "evaluate",
    "tasks/text_classification/explaining.py": "",
    "tasks/text_classification/figures.py": "plot",
    "tasks/text_classification/inference.py": "",
    "tasks/text_classification/misfits.py": "",
    "tasks/text_classification/named.py": "",
    "tasks/text_classification/preparation.py": "preprocess",
    "tasks/text_classification/training.py": "train",
    "tasks/text_classification/transfer.py": "train",
    "tasks/training.py": "train",
    "tracking/*.py": "",
    "training/*.py": "train",
    "training/history.py": "train plot",
    "training/metrics.py": "train plot",
    "training/variables.py": "train evaluate",
    "words.py": ALL,
}


def edits() -> dict[Path, set[str]]:
    """The stages that an edit of each source file runs again, relative to the root."""
    found = {}
    for path in sorted((ROOT / "src/cct").rglob("*.py")):
        name = str(path.relative_to(ROOT / "src/cct"))
        if path.name == "__init__.py":
            continue
        rows = [pattern for pattern in EDITS if fnmatch.fnmatchcase(name, pattern)]
        assert rows, f"{name} has no row in EDITS of tests/stages/test_dvc.py: which stages does it decide?"
        found[path.relative_to(ROOT)] = set(EDITS[max(rows, key=len)].split())
    return found


def test_an_edit_of_a_source_file_runs_the_stages_of_the_table_again(finished):
    """All files are edited at once: `dvc status` names the changed dependencies of each stage one by one."""
    table = edits()
    before = {path: (finished.path / path).read_bytes() for path in table}
    with dvc.repo.Repo(str(finished.path)) as repository:
        assert repository.status() == {}
    try:
        for path, content in before.items():
            (finished.path / path).write_bytes(content + b"\n# edited\n")
        with dvc.repo.Repo(str(finished.path)) as repository:
            status = repository.status()
    finally:
        for path, content in before.items():
            (finished.path / path).write_bytes(content)
    found = {path: set() for path in table}
    for name, reasons in status.items():
        for reason in reasons:
            for changed in reason["changed deps"]:
                found[Path(changed)].add(name.rpartition(":")[2])
    assert found == table


def test_source_dependencies_are_the_imports():
    """Those of a stage, however deep and late."""
    words = [sys.executable, str(ROOT / "scripts/dvc_deps.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # it names `make deps`


def test_stale_dependencies_are_named_with_the_command(make_clone):
    clone = make_clone()
    text = (clone.path / "dvc.yaml").read_text()
    stale = text.replace("      - src/cct/training/loop.py\n", "")
    assert stale != text
    (clone.path / "dvc.yaml").write_text(stale)
    script = (sys.executable, "scripts/dvc_deps.py")
    assert "run make deps" in clone.run(*script, "--check", code=1, PYTHONPATH="src")
    clone.run(*script, PYTHONPATH="src")
    assert (clone.path / "dvc.yaml").read_text() == text


def test_the_code_that_decides_a_result_is_never_empty(tmp_path):
    files = stage_code_files("train", top=ROOT)
    assert Path("src/cct/training/loop.py") in files and all((ROOT / file).is_file() for file in files)
    assert set(files) < set(stage_code_files("train", "evaluate", top=ROOT))
    (tmp_path / "src/a").mkdir(parents=True)
    (tmp_path / "src/a/one.py").touch()
    (tmp_path / "src/two.py").touch()
    for deps, expected in (
        (["data/raw", "src/a", "src/two.py"], [Path("src/a/one.py"), Path("src/two.py")]),
        (["data/raw"], "lists source files of train, none at all. Run make deps"),
        (["src/three.py"], r"which are not there: src/three\.py. Run make deps"),
    ):
        listed = "".join(f"      - {dep}\n" for dep in deps)
        (tmp_path / "dvc.yaml").write_text(f"stages:\n  train:\n    deps:\n{listed}")
        if isinstance(expected, list):
            assert stage_code_files("train", top=tmp_path) == expected
        else:
            with pytest.raises(CCTError, match=expected):
                stage_code_files("train", top=tmp_path)


def test_packages_hold_no_code():
    """They are no dependency of a stage, so they must not be able to change one."""
    for path in (ROOT / "src/cct").glob("*/**/__init__.py"):
        for node in ast.parse(path.read_text()).body:
            assert isinstance(node, ast.Expr | ast.Assign), f"{path} has code in line {node.lineno}"
    assert [path.name for path in (ROOT / "src/cct").rglob("*.py") if "cct.load(" in path.read_text()] == []


def test_no_stage_depends_on_what_only_watches_or_uses_a_result():
    """Nor can a training read a run of MLflow: what decides its bits is a file."""
    apart = ("tracking", "inference", "commands", "experiments", "inspection")
    for stage, entry in STAGES.items():
        assert not [dep for dep in entry["deps"] if dep.startswith(tuple(f"src/cct/{name}/" for name in apart))], stage


def source_of(stage: str) -> str:
    return (ROOT / f"src/cct/stages/{stage}.py").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_the_sections_read(stage):
    call = re.search(r"params\.load\(PARAMS, (.*?)\)", source_of(stage)).group(1)
    read = [name for name in re.findall(r'"(\w+)"', call) if name in SECTIONS]
    assert STAGES[stage]["params"] == sorted(read)
    keras = "KERAS_BACKEND=${runtime.backend} " if stage in ("train", "evaluate") else ""
    assert STAGES[stage]["cmd"] == f"{keras}PYTHONPATH=src python -m cct.stages {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_files_read_are_dependencies_and_files_written_are_outputs(stage):
    """The paths that a stage's code names are the ones that `dvc.yaml` lists."""
    imported = {
        alias.name
        for node in ast.parse(source_of(stage)).body
        if isinstance(node, ast.ImportFrom) and node.module == "cct.paths"
        for alias in node.names
    }
    named = {str(getattr(paths, name)) for name in imported - {"PARAMS"}}
    spec = STAGES[stage]
    declared = {*spec["deps"], *stage_outputs(spec)}
    elsewhere = {"pretrained", "data/vectors"}  # parameters name files in them, and allow no other folder
    assert {name for name in declared - elsewhere if not name.startswith(("src/", "$"))} == named
