"""The files from which an ablation is planned."""

import shutil

import pytest
from clones import DEFAULTS, ROOT

SMALL = """\
base:
  train: {epochs: 4}
base_seeds: [0, 1]
seeds: [0]
changes:
  training:
    constant-rate: {train: {schedule: constant}}
    without-label-smoothing: {train: {label_smoothing: 0.0}}
  model:
    1-layer: {model: {num_layers: 1}}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """What a plan is made from: parameters, pipeline, sources and descriptors."""
    shutil.copyfile(DEFAULTS, tmp_path / "params.yaml")
    for name in ("dvc.yaml", "src", "data/sources"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return tmp_path
