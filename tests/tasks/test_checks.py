"""Parameters that do not fit the kind of the data: `cct check` and the first stages refuse them before any work."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clones import DEFAULTS, ROOT
from PIL import Image

from cct import cli, params
from cct.stages import __main__ as stages
from cct.tasks.checks import CHECK_TASKS, require_fitting
from cct.tasks.preparation import PREPARATION_TASKS

OFF = {"crop_padding": 0, "horizontal_flip": False, "policy": "none", "cutmix_alpha": 0.0, "random_erasing_prob": 0.0}
TEXTS = {"data": {"source": "texts.csv"}, "model": {"name": "text_cct_2_1"}, "augment": OFF}
VECTORS = TEXTS | {"preprocess": {"embeddings": "data/vectors/a.txt"}, "model": {"name": "text_cct_2_1", "word_dim": 4}}
ODD_HEADS = {"name": "text_transformer_2", "word_dim": None, "num_heads": 3}
IMAGES = {"data": {"source": "images"}, "augment": OFF}
# A section's changes to parameters that fit, and what is said.
CASES = {
    "texts, a flip": (TEXTS, "augment", {"horizontal_flip": True}, "augment.horizontal_flip: this changes images"),
    "texts, CutMix": (TEXTS, "augment", {"cutmix_alpha": 1.0}, "augment.cutmix_alpha: this changes images, and"),
    "texts, a crop": (TEXTS, "augment", {"crop_padding": 4}, "augment.crop_padding: this changes images, and the"),
    "texts, a policy": (TEXTS, "augment", {"policy": "randaugment"}, "augment.policy: this changes images, and the"),
    "texts, a model of images": (TEXTS, "model", {"name": "cct_2_3x1"}, "model.name = cct_2_3x1 takes images, and the"),
    "texts, frozen vectors": (TEXTS, "model", {"freeze_embeddings": True}, "model.freeze_embeddings = true: the data"),
    "texts, no vectors": (TEXTS, "preprocess", {"embeddings": "data/vectors/c.txt"}, "c.txt': there is no such"),
    "texts, other vectors": (VECTORS, "model", {"word_dim": 300}, "and the vectors in a.txt have 4 dimensions: set"),
    "texts, no heads for them": (VECTORS, "model", ODD_HEADS, "num_heads 3 does not divide word_dim 4: choose"),
    "texts, bad vectors": (VECTORS, "preprocess", {"embeddings": "data/vectors/b.txt"}, "b.txt, line 1: expected"),
    "texts, empty vectors": (VECTORS, "preprocess", {"embeddings": "data/vectors/0.txt"}, "have 0 dimensions, and 1"),
    "texts, no such column": (TEXTS, "preprocess", {"text_column": "Satz"}, "no column Satz; its columns are: text,"),
    "texts, no such labels": (TEXTS, "preprocess", {"label_column": "Art"}, "no column Art; its columns are: text,"),
    "neither": (IMAGES, "data", {"source": "notes"}, ".tiff), but 1 text file; texts must be .txt files"),
    "images, word dropout": (IMAGES, "augment", {"word_dropout": 0.1}, "augment.word_dropout = 0.1: this changes"),
    "images, a model of texts": (IMAGES, "model", {"name": "text_cct_2_1"}, "model.name = text_cct_2_1 takes texts"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository without anything but data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("cct.stages.__main__.keep_out_of_git", lambda path: False)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "texts.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "data/vectors").mkdir(parents=True)
    (tmp_path / "data/vectors/a.txt").write_text("a 1 2 3 4\nb 5 6 7 8\n")
    (tmp_path / "data/vectors/b.txt").write_text("words and no numbers\n")
    (tmp_path / "data/vectors/0.txt").write_text("2 0\na\nb\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("a note")
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (9, 9)).save(tmp_path / "images" / name / "1.png")
    return tmp_path


def write(folder, *changes):
    content = params.read_yaml(DEFAULTS)
    for change in changes:
        for section, values in change.items():
            content[section] |= values
    text = "".join(
        f"{section}:\n" + "".join(f"  {name}: {json.dumps(value)}\n" for name, value in values.items())
        for section, values in content.items()
    )
    (folder / "params.yaml").write_text(text)


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused_before_any_work(case, folder, capsys):
    base, section, change, said = CASES[case]
    write(folder, base)
    assert cli.main(["check"]) == 0
    write(folder, base, {section: change})
    capsys.readouterr()
    for refuse in (
        lambda: cli.main(["check"]),
        *(lambda stage=stage: stages.main([stage]) for stage in ("download", "preprocess")),
    ):
        assert refuse() == 1
        assert said in capsys.readouterr().err
    assert not (folder / "data/raw").exists()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_that_is_not_installed_is_refused_before_any_work(backend, folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, backend, None)  # so that Python finds no such package
    write(folder, IMAGES, {"runtime": {"backend": backend}})
    for refuse in (lambda: cli.main(["check"]), lambda: stages.main(["download"])):
        assert refuse() == 1
        said = f"runtime.backend = '{backend}', but {backend} is not installed: make setup EXTRA={backend}, or set"
        assert said in capsys.readouterr().err
    assert not (folder / "data/raw").exists()


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems have no such files")
def test_a_gpu_without_a_driver_is_named_but_a_login_node_prepares_the_data(folder, monkeypatch, capsys):
    write(folder, IMAGES, {"runtime": {"device": "gpu"}})
    monkeypatch.setattr("cct.runtime.available.DRIVERS", (str(folder / "nvidia"),))
    assert cli.main(["check"]) == 1
    assert "runtime.device = 'gpu', but tensorflow sees no GPU. Install" in capsys.readouterr().err
    require_fitting(params.load(Path("params.yaml")))
    (folder / "nvidia").touch()
    assert cli.main(["check"]) == 0


def test_all_that_does_not_fit_is_said_at_once(folder, capsys):
    wrong = {"augment": {"cutmix_alpha": 1.0}, "model": {"freeze_embeddings": True}}
    write(folder, TEXTS, wrong | {"train": {"init_from": "pretrained/none.keras"}})
    assert cli.main(["check"]) == 1
    said = capsys.readouterr().err
    for mistake in ("augment.cutmix_alpha", "model.freeze_embeddings", "none.keras': there is no such file"):
        assert mistake in said


def test_every_task_has_its_checks_and_none_imports_keras():
    assert CHECK_TASKS.keys() == PREPARATION_TASKS.keys()
    code = "import cct.tasks.checks, sys; assert not {'keras', 'tensorflow', 'pandas'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
