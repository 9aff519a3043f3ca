"""Texts through the real pipeline: trained, evaluated, drawn, predicted; and the same bits again."""

import csv
import json
import re

import pytest
from runs import THREADS, digests

from cct.experiments.presets import preset_arguments

SETTINGS = [
    word
    for setting in (
        "model.word_dim=12", "model.embed_dim=16", "model.num_layers=1", "preprocess.padding=longest", "train.epochs=2",
        f"runtime.threads={THREADS}", "augment.mixup_alpha=0.8",
    )
    for word in ("-S", setting)
]  # fmt: skip


@pytest.fixture(scope="module")
def clone(make_clone):
    clone = make_clone()
    rows = [f"film {place} was {'good' if place % 2 else 'bad'},{'pos' if place % 2 else 'neg'}" for place in range(80)]
    (clone.path / "texts.csv").write_text("\n".join(["text,label", *rows, ""]))
    (clone.path / "data/vectors/glove.txt").write_text("film 1 0 0\ngood 0 1 0\nbad 0 0 1\n")
    return clone


def run(clone, *words: str, code: int = 0, **variables: str) -> str:
    words = (*preset_arguments("text"), "-S", "data.source=texts.csv", *SETTINGS, *words)
    return clone.run("dvc", "exp", "run", *words, code=code, **variables)


UNTRACKED = {"MLFLOW_TRACKING_URI": "none"}


def test_texts_are_trained_on_and_predicted(clone):
    run(clone, "-n", "words")
    meta = json.loads((clone.path / "data/processed/meta.json").read_text())
    assert meta["task"] == "text_classification" and meta["examples"] == {"train": 58, "val": 6, "test": 16}
    metrics = json.loads((clone.path / "reports/metrics.json").read_text())
    assert metrics["test"]["examples"] == 16 and metrics["model"]["macs"] > 0
    with (clone.path / "reports/predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 16
    assert (clone.path / "reports/figures/top_errors.png").is_file()
    (row,) = json.loads(clone.run("cct", "predict", "Was film 7 good?", "--json"))
    assert row["input"] == "Was film 7 good?" and row["label"] in ("pos", "neg")
    assert "up to date" in clone.run("dvc", "status")


def test_the_same_training_again_gives_the_same_bytes(clone):
    run(clone, **UNTRACKED)
    before = digests(clone)
    clone.run("dvc", "repro", "--force", "--single-item", "train", **UNTRACKED)
    assert digests(clone) == before


def test_other_vectors_train_again(clone):
    """What the vectors do to a training is tested in `test_text_training.py`."""
    vectors = ("-S", "preprocess.embeddings=data/vectors/glove.txt", "-S", "model.word_dim=null", "preprocess")
    said = run(clone, *vectors, **UNTRACKED)
    assert "data/vectors/glove.txt: " in said and "words of the training texts have no vector" in said
    clone.run("dvc", "commit", "-f", "train")  # as if it had been trained with them
    assert "data/processed" not in clone.run("dvc", "status", "train")
    (clone.path / "data/vectors/glove.txt").write_text("film 1 0 0\ngood 0 2 0\nbad 0 0 1\n")
    clone.run("dvc", "repro", "preprocess", **UNTRACKED)
    assert re.search(r"modified:\s+data/processed", clone.run("dvc", "status", "train"))


def test_parameters_of_the_other_kind_are_refused_before_training(clone):
    said = run(clone, "-S", "augment.horizontal_flip=true", code=255, **UNTRACKED)
    assert "augment.horizontal_flip: this changes images, and the data are texts" in said and "Traceback" not in said
    path = clone.path / "params.yaml"
    path.write_text(path.read_text().replace("horizontal_flip: true", "horizontal_flip: false"))
    path.write_text(
        re.sub("  name: text.*", "  name: cct_2_3x1", path.read_text()).replace("word_dim: 12", "word_dim: null")
    )
    said = clone.run("cct", "check", code=1)
    assert "model.name = cct_2_3x1 takes images, and the data are texts: choose one of" in said
