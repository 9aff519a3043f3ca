"""The suggested command: its size and preset, and that a shell, DVC and Hydra read what is meant."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from cct.experiments.presets import preset_names
from cct.inspection.suggestion import PRESETS, suggest, suggest_size
from cct.overrides import arguments, hydra_text, hydra_word
from cct.params import read_yaml

SOURCES = [
    "data/photos",
    "/home/me/Bilder/Vögel und Käfer",
    "猫 & 犬",
    "it's",
    'say "x"',
    "a\\",
    'a\\"b',
    "$HOME/`date`/${x}/$(pwd)",
    "true",
    "123",
    "1e5",
    "a,b (c)=[d]{e}",
    "#x ~ ! ; | > *",
    "../x  y",
    "-S",
    "قطة",
]


@pytest.mark.parametrize("source", SOURCES)
def test_the_pasted_command_sets_what_is_meant(source, tmp_path, monkeypatch):
    """bash splits it, then DVC's own functions apply it to a file of parameters."""
    made = suggest(source, (48, 64), skip_bad=True, class_folder="leaf", imbalance=5.0)
    record = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
    for name, text in {"dvc": record, "cct": "#!/bin/sh\necho -S model.name=x\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = json.loads(subprocess.check_output(["bash", "-c", made.command], text=True, env=environment))
    assert words[:4] == ["exp", "run", "-S", "model.name=x"] and set(words[4::2]) == {"-S"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "data: {source: x}\nmodel: {name: y}\npreprocess: {image_size: 1, on_bad_image: fail, class_folder: null}\n"
        "train: {class_weights: none}\n"
    )
    for path, overrides in to_path_overrides(words[3::2]).items():
        apply_overrides(path, overrides)
    assert read_yaml(tmp_path / "params.yaml") == {
        "data": {"source": source},
        "model": {"name": "x"},
        "preprocess": {"image_size": [48, 64], "on_bad_image": "skip", "class_folder": "leaf"},
        "train": {"class_weights": "balanced"},
    }


def test_arguments_of_any_value_set_what_is_meant(tmp_path, monkeypatch):
    """Those of `cct show` and `cct ablate`."""
    monkeypatch.chdir(tmp_path)
    values = {
        "source": "photos (1)/",
        "background": "#ffcc00",
        "size": [48, 64],
        "rate": 1e-5,
        "none": None,
        "on": True,
    }
    (tmp_path / "params.yaml").write_text("".join(f"{name}: 0\n" for name in values))
    for path, overrides in to_path_overrides(arguments(values)[1::2]).items():
        apply_overrides(path, overrides)
    assert read_yaml(tmp_path / "params.yaml") == values


def test_plain_paths_stay_plain():
    made = suggest("data/photos", (64, 64), skip_bad=False, class_folder=None, imbalance=3.0)
    assert made.command == "dvc exp run $(cct preset photos_64) -S data.source=data/photos -S preprocess.image_size=64"
    assert hydra_text("NULL") == '"NULL"' and hydra_text("a-b_c.d/e") == "a-b_c.d/e"
    assert hydra_word("model.pool_after", [1, 3]) == "model.pool_after=[1,3]"  # a shell splits at spaces


@pytest.mark.parametrize(
    ("sizes", "expected", "preset"),
    [
        ([(8, 8)], (8, 8), "demo"),
        ([(28, 28)], (28, 28), "fast"),
        ([(32, 40)], (32, 40), "photos_64"),
        ([(128, 128)], (128, 128), "photos_128"),
        ([(200, 200)], (64, 64), "photos_64"),
        ([(30, 40), (40, 30)], (32, 32), "fast"),
        ([(100, 200), (150, 90), (80, 80)], (64, 64), "photos_64"),
        ([(300, 400), (256, 500), (80, 80)], (128, 128), "photos_128"),
        ([(4, 4)], (32, 32), "fast"),
        ([], (64, 64), "photos_64"),
    ],
)
def test_size_and_preset_follow_from_the_images(sizes, expected, preset):
    height_n, width_n = np.array(sizes, np.uint32).reshape(-1, 2).T
    assert suggest_size(height_n, width_n) == expected
    assert suggest("x", expected, skip_bad=False, class_folder=None, imbalance=None).preset == preset


def test_every_size_has_a_preset_that_exists():
    assert max(PRESETS) == 512
    assert set(PRESETS.values()) - {"photos_64", "photos_128"} <= set(preset_names())
