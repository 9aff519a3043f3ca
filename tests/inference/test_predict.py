"""`cct predict`."""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from brightness import bright_probability, brightness_model
from PIL import Image

import cct
from cct.cli import main
from cct.commands import predict as predict_command
from cct.evaluation.conformal import set_thresholds
from cct.evaluation.figures.style import columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images in folders, archives of them, and a model."""
    folder = tmp_path_factory.mktemp("images")
    brightness_model(folder / "model.keras")
    (folder / "photos/a").mkdir(parents=True)
    for name, value in (("a/1.png", 250), ("a/2.png", 10), ("b c.png", 140)):
        Image.new("L", (20, 20), value).save(folder / "photos" / name)
    (folder / "photos/notes.txt").write_text("no image")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for path in sorted((folder / "photos").rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    with tarfile.open(folder / "photos.tar.gz", "w:gz") as archive:
        archive.add(folder / "photos", "photos")
    return folder


@pytest.fixture
def predict(folder, tmp_path, monkeypatch, capsys):
    """Runs `cct predict` in a folder of its own; the exit code, stdout and stderr."""
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["predict", "--model", "model.keras", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_files_and_folders_are_a_table(predict):
    code, out, err = predict("photos/b c.png", "photos/a", "--top", "2")
    assert code == 0 and err == ""
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["photos/b", "photos/a/1.png", "photos/a/2.png"]
    assert rows[1][1:] == [f"{bright_probability(250):.2%}", "bright", f"{1 - bright_probability(250):.2%}", "dark"]


@pytest.mark.parametrize("source", ["photos", "photos/", "photos.zip", "photos.tar.gz"])
def test_the_same_answers_from_every_container(source, predict):
    code, out, _ = predict(source, "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["label"] for row in rows] == ["bright", "dark", "bright"]
    assert all(row["input"].startswith(source.rstrip("/")) for row in rows)
    assert rows[2]["probability"] == pytest.approx(bright_probability(140), abs=1e-6)
    assert [row["unsure"] for row in rows] == [False] * 3


def test_a_prediction_below_the_threshold_is_marked(predict):
    _, out, _ = predict("photos", "--unsure", "0.6")
    assert [line.endswith("(unsure)") for line in out.splitlines()] == [False, False, True]


@pytest.mark.parametrize("shape", ["table", "csv", "json", "jsonl"])
def test_the_command_leaves_its_arguments_alone(shape, folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = {"inputs": ["photos"], "model": "model.keras", "run": None, "top": 1, "unsure": 0.5, "coverage": None}
    arguments = argparse.Namespace(**given, format=shape)
    assert predict_command.main(arguments) == 0
    assert vars(arguments) == given | {"format": shape}


def test_a_pattern_of_all_depths_names_each_file_once(predict):
    """Not again as a part of its folder."""
    _, out, _ = predict("photos/**", "--jsonl")
    files = [json.loads(line)["input"] for line in out.splitlines()]
    assert sorted(files) == ["photos/a/1.png", "photos/a/2.png", "photos/b c.png", "photos/notes.txt"]


def test_sets_have_the_coverage(predict):
    """The threshold of the test model is one minus the coverage. Its probabilities are at most 0.72."""
    code, out, _ = predict("photos", "--coverage", "0.6")
    sets = [line.split("  ")[-1] for line in out.splitlines()]
    assert code == 0 and sets == ["{bright}", "{dark}", "{bright, dark}"]
    _, out, _ = predict("photos", "--coverage", "0.95", "--jsonl")
    sets = [json.loads(line)["set"] for line in out.splitlines()]
    assert sets == [["bright", "dark"], ["dark", "bright"], ["bright", "dark"]]
    _, out, _ = predict("photos", "--coverage", "0.95", "--csv", "--top", "5")
    row = list(csv.DictReader(io.StringIO(out)))[1]
    assert json.loads(row["set"]) == ["dark", "bright"] and (row["label_2"], row["label_5"]) == ("bright", "")


def test_all_rows_of_a_csv_are_as_long(predict, tmp_path):
    """Also that of a file that is no image, and where there are fewer classes than columns for them."""
    (tmp_path / "broken.png").write_text("no image")
    code, out, _ = predict("photos/a/1.png", str(tmp_path / "broken.png"), "--csv", "--top", "5")
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 3 and len(rows) == 3 and {len(row) for row in rows} == {6 + 2 * 4}


def test_sets_of_all_classes_are_explained(predict, tmp_path, caplog):
    """With 9 validation examples, a coverage above 0.9 has no threshold."""
    thresholds = set_thresholds(np.full((9, 2), 0.5), np.zeros(9, int))
    brightness_model(tmp_path / "here/few.keras", set_thresholds=thresholds)
    for words in (("--coverage", "0.95"), ("--coverage", "0.95", "--json")):
        code, _, err = predict("photos/a", "--model", "few.keras", *words)
        assert code == 0 and err.count("every set") == 1
        assert "with a coverage of 0.95 every set has all classes" in err and "0.90 is the largest" in err
    assert predict("photos/a", "--model", "few.keras", "--coverage", "0.9")[2] == ""
    answers = cct.load("few.keras").predict(["photos/a/1.png", "photos/a/2.png"])
    assert answers.sets(0.95) == [["bright", "dark"], ["dark", "bright"]]
    assert caplog.messages[-1].startswith("with a coverage of 0.95 every set has all classes")
    caplog.clear()
    answers.sets(0.9)
    assert not caplog.messages


def test_columns_are_below_each_other_whatever_the_script(predict, tmp_path):
    shutil.copy("photos/a/1.png", "猫の写真.png")
    shutil.copy("photos/a/1.png", "猫" * 40 + ".png")
    code, out, _ = predict("photos/a/1.png", "猫の写真.png", "猫" * 40 + ".png")
    first, second, third = (line.partition(f"{bright_probability(250):.2%}")[0] for line in out.splitlines())
    assert code == 0 and columns(first) == columns(second) == columns(third)
    assert third.startswith("…猫") and third.rstrip().endswith(".png")


def test_inputs_stand_before_and_behind_options(predict, capsys):
    code, out, _ = predict("photos/a/1.png", "--top", "1", "photos/a/2.png", "--jsonl", "photos/b c.png")
    files = [json.loads(line)["input"] for line in out.splitlines()]
    assert code == 0 and files == ["photos/a/1.png", "photos/a/2.png", "photos/b c.png"]
    for words, said in (
        (["--top", "1", "photos", "--unknown", "a"], "unrecognized arguments: --unknown a"),
        (["photos", "--top", "1", ""], "argument INPUT: it is empty"),
    ):
        with pytest.raises(SystemExit) as ended:
            predict(*words)
        assert ended.value.code == 2 and said in capsys.readouterr().err


def test_patterns_find_files_and_csv_has_all_classes(predict):
    code, out, _ = predict("photos/**/*.png", "--csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["input"] for row in rows] == ["photos/a/1.png", "photos/a/2.png", "photos/b c.png"]
    assert rows[0]["label"] == "bright" and rows[0]["label_2"] == "dark" and rows[0]["error"] == ""
    assert float(rows[0]["probability"]) + float(rows[0]["probability_2"]) == pytest.approx(1, abs=1e-5)


def test_one_image_comes_on_standard_input(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "-", "--json"]
    content = (folder / "photos/a/2.png").read_bytes()
    done = subprocess.run(words, cwd=folder, input=content, capture_output=True, check=True)
    (row,) = json.loads(done.stdout)
    assert (row["input"], row["label"]) == ("-", "dark")


def test_broken_files_are_named_and_the_rest_is_done(predict, tmp_path):
    (tmp_path / "here/photos/a/0.png").write_bytes(b"")
    code, out, err = predict("photos", "photos/notes.txt", "--json")
    rows = json.loads(out)
    assert code == 3 and [row.get("label", "broken") for row in rows] == [
        "broken",
        "bright",
        "dark",
        "bright",
        "broken",
    ]
    assert "photos/a/0.png: empty" in err and "photos/notes.txt: not an image" in err
    assert "2 of 5 files could not be used" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.png",), "nothing.png: there is no such file or folder, and no pattern that fits one"),
        (("How far is it?",), "no pattern that fits one. This model takes images"),
        (("*.gif",), "*.gif: there is no such file or folder, and no pattern that fits one"),
        (("empty",), "empty: none of its 0 files is an image (.jpg,"),
        (("photos", "--model", "other.keras"), "other.keras is not there"),
        (("photos", "--model", "models:/cct@champion"), "models:/cct@champion is in MLflow, and there is no store at"),
    ],
)
def test_mistakes_are_said_before_any_work(words, said, predict, tmp_path, capsys):
    (tmp_path / "here/empty").mkdir()
    code, out, err = predict(*words)
    assert code == 1 and said in err and out == ""


@pytest.mark.parametrize(
    "words",
    [["--top", "0", "a"], ["--unsure", "2", "a"], ["--coverage", "0.955", "a"], [], ["--csv", "--json", "a"], [""]],
)
def test_wrong_options_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["predict", *words])
    assert caught.value.code == 2 and "error: " in capsys.readouterr().err
