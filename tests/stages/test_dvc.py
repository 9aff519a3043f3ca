"""`dvc.yaml` cannot lie: what it says a stage depends on is what the stage's code imports and reads."""

import ast
import re

import grimp
import pytest
from conftest import ROOT

from cct.params import SECTIONS, read_yaml
from cct.pipeline import stage_outputs

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("cct", include_external_packages=True, cache_dir=None)


def module_file(module: str) -> str:
    return f"src/{module.replace('.', '/')}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_source_dependencies_are_the_imports(stage, graph):
    module = f"cct.stages.{stage}"
    used = {module, *(m for m in graph.find_upstream_modules(module) if m.startswith("cct."))} - {"cct.stages"}
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    assert listed == sorted(module_file(name) for name in used)


def test_packages_hold_no_code():
    """They are no dependency of a stage, so they must not be able to change one."""
    for path in (ROOT / "src/cct").rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            assert isinstance(node, ast.Expr | ast.Assign), f"{path} has code in line {node.lineno}"


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_the_sections_read(stage):
    source = (ROOT / module_file(f"cct.stages.{stage}")).read_text()
    call = re.search(r"params\.load\((.*?)\)\.?\w*\n", source).group(1)
    read = [name for name in re.findall(r'"(\w+)"', call) if name in SECTIONS]
    assert STAGES[stage]["params"] == sorted(read)
    assert STAGES[stage]["cmd"] == f"PYTHONPATH=src python -m cct.stages.{stage}"


@pytest.mark.parametrize("stage", ["download", "preprocess", "plot"])
def test_light_stages_cannot_reach_keras(stage, graph):
    reached = graph.find_upstream_modules(f"cct.stages.{stage}")
    assert not reached & {"keras", "tensorflow", "jax", "torch", "sklearn"}


@pytest.mark.parametrize("stage", STAGES)
def test_files_read_are_dependencies_and_files_written_are_outputs(stage):
    source = (ROOT / module_file(f"cct.stages.{stage}")).read_text()
    named = set(re.findall(r'"((?:data|models|reports)/[^"]*)"', source))
    spec = STAGES[stage]
    declared = {*spec["deps"], *stage_outputs(spec)}
    assert {path for path in named if not any(path == d or path.startswith(f"{d}/") for d in declared)} == set()
    chosen = {"pretrained"}  # the file in it is named by a parameter, whose schema allows no other folder
    assert {d for d in declared - chosen if not d.startswith(("src/", "$")) and d not in named} == set()
