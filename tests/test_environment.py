"""The script of `make setup`, which must start on any Python."""

import importlib.util
import re
import sys

import pytest
from clones import ROOT


@pytest.fixture
def environment():
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts/environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13), (3, 14, 0)])
def test_another_python_is_refused_with_the_command(environment, monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    command = re.escape("3.11 to 3.13 is needed: make setup PYTHON=/path/to/python3.12")
    with pytest.raises(SystemExit, match=f"{command}$"):
        environment.main([])


def test_annotations_are_not_evaluated(environment):
    """Python 3.8 knows no `list[str]`, and must reach the check of its version."""
    assert environment.main.__annotations__ == {"extras": "list[str]", "return": "None"}
