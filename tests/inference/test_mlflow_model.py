"""The requirements of a logged model. `test_services.py` tests that it is served."""

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from cct.errors import CCTError
from cct.inference.mlflow_model import PACKAGES, requirements


def test_a_logged_model_requires_its_own_backend_and_no_other():
    pinned = requirements("tensorflow")
    assert f"tensorflow=={version('tensorflow')}" in pinned and f"keras=={version('keras')}" in pinned
    assert {line.partition("==")[0] for line in pinned}.isdisjoint({"jax", "torch"})


def test_a_logged_model_requires_all_that_its_code_imports():
    """Where it is loaded, nothing else may be installed."""
    code = (
        "import json, sys; import cct.inference.mlflow_model, cct.inference.runtimes.keras_model\n"
        "print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.startswith('cct')]))"
    )
    files = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    trees = [ast.parse(Path(file).read_text()) for file in files]
    assert len(trees) > 20
    nodes = [node for tree in trees for node in tree.body]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    owners = packages_distributions()
    found = [owners[top] for top in {name.partition(".")[0] for name in names} & {*owners} - {"cct"}]
    assert ["filelock"] in found
    missing = [names for names in found if not {*map(str.lower, names)} & {*PACKAGES}]
    assert not missing


@pytest.mark.services
def test_a_model_trained_on_jax_requires_jax_and_not_tensorflow():
    pinned = requirements("jax")
    assert f"jax=={version('jax')}" in pinned
    assert not any(line.startswith("tensorflow") for line in pinned)


def test_a_backend_that_is_not_installed_is_refused():
    with pytest.raises(CCTError, match="would need no-such-backend, which is not installed"):
        requirements("no-such-backend")
