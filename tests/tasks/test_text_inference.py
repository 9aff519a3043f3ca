"""A trained model of texts outside the pipeline: in Python, in the shell, in MLflow."""

import csv
import io
import json
import math
import os
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pandas
import pytest
from text_models import FACTS, META, counting_model

import cct
from cct.cli import main
from cct.data.texts.items import Text, make_texts
from cct.data.texts.tokens import TOKENS, split_words
from cct.errors import CCTError
from cct.inference.mlflow_model import InputRefused, TableClassifier
from cct.tasks.inference import INFERENCE_TASKS
from cct.tasks.text_classification.inference import NO_KNOWN_WORD, TextReader

GOOD = 1 / (1 + math.exp(-1 / 2))  # a text with one "good": the logits are (0, 1), and the temperature is 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    counting_model(folder / "model.keras")
    (folder / "good.txt").write_text("the film was\ngood\n", encoding="utf-8")
    pandas.DataFrame({"text": ["very good", "", "bad"]}).to_csv(folder / "texts.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return cct.load(folder / "model.keras")


def test_every_kind_of_text_has_the_same_answer(model, folder):
    kinds = ["The film was GOOD!", b"good", folder / "good.txt", "a good a a a a a a bad"]
    found = model.predict(kinds)
    assert found.labels == ["positive"] * 4 and found.classes == META["classes"]
    np.testing.assert_allclose(found.probabilities[:, 1], GOOD, rtol=1e-6)
    for one in ("good", np.array(["good"])):
        np.testing.assert_allclose(model.predict(one).probabilities[0, 1], GOOD, rtol=1e-6)
    words = model.reader.arrays(["good"])
    np.testing.assert_allclose(model.predict_arrays(words).probabilities[0, 1], GOOD, rtol=1e-6)
    assert model.predict([]).labels == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "text 0 is of type int: give a text, bytes in UTF-8, or a path"),
        ("  \n", "text 0 is empty"),
        (b"\xe4", "text 0, line 1: the byte 0xe4 is not utf-8"),
    ],
)
def test_what_is_no_text_is_refused_in_words(model, value, said):
    with pytest.raises(CCTError, match=said):
        model.predict([value])


def test_an_unknown_backend_in_the_environment_is_one_sentence(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "good"]
    environment = os.environ | {"KERAS_BACKEND": "theano"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    said = "error: KERAS_BACKEND = 'theano': must be one of tensorflow, jax, torch, or be unset\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


LONG = "moon " * 16 + "good"  # the word is cut off
UNKNOWN_TEXTS = ["Guten Tag", '"', LONG]  # the second one has no word at all


def test_texts_without_a_known_word_are_named_in_the_log(model, caplog):
    found = model.predict(["good", *UNKNOWN_TEXTS, "moon good"])
    assert found.warnings == ["", *[NO_KNOWN_WORD] * 3, ""]
    assert caplog.messages == [f"input 1, 2, 3: {NO_KNOWN_WORD}"]
    caplog.clear()
    assert model.predict(["?"] * 300 + ["good"]).warnings.count(NO_KNOWN_WORD) == 300
    assert caplog.messages == [f"input 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 290 more: {NO_KNOWN_WORD}"]


def test_bytes_know_every_text(tmp_path):
    reader = TextReader({"tokens": "bytes", "max_length": 4, "truncation": "end", "vocabulary": []}, tmp_path)
    assert reader.warnings(reader.arrays(["Привет", '"', "\x00"])) == [""] * 3


@pytest.mark.parametrize("shape", ["table", "csv", "json", "jsonl"])
def test_texts_without_a_known_word_are_marked_and_named(shape, predict, folder):
    (folder / "moon.txt").write_text("moon")
    given = ["moon.txt", LONG, "good", "--unsure", "0", *([] if shape == "table" else [f"--{shape}"])]
    code, out, err = predict(*given)
    assert code == 0 and err.splitlines() == [f"moon.txt: {NO_KNOWN_WORD}", f"{LONG[:59]}…: {NO_KNOWN_WORD}"]
    if shape == "table":
        assert [line.endswith("  (unsure)") for line in out.splitlines()] == [True, True, False]
        return
    read = {
        "csv": lambda: csv.DictReader(io.StringIO(out)),
        "json": lambda: json.loads(out),
        "jsonl": lambda: map(json.loads, out.splitlines()),
    }
    rows = list(read[shape]())
    assert [str(row["unsure"]).lower() for row in rows] == ["true", "true", "false"]
    assert [row.get("warning") or "" for row in rows] == [NO_KNOWN_WORD, NO_KNOWN_WORD, ""]


@pytest.fixture
def predict(folder, monkeypatch, capsys):
    """Runs `cct predict` beside the model; the exit code, stdout and stderr."""
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["predict", "--model", "model.keras", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_texts_files_and_tables_are_predicted(predict):
    code, out, err = predict("Was the film good?", "good.txt", "texts.csv", "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3 and "texts.csv, row 2: no text" in err and "1 of 5 texts could not be used" in err
    assert [row["input"] for row in rows] == [
        "Was the film good?", "good.txt", "texts.csv, row 1", "texts.csv, row 2", "texts.csv, row 3",
    ]  # fmt: skip
    assert [row.get("label") for row in rows] == ["positive", "positive", "positive", None, "negative"]
    assert rows[0]["probability"] == pytest.approx(GOOD, abs=1e-6)


def test_a_table_is_read_by_the_column_that_the_training_named(folder, predict):
    """And where a table has no such column, by one with a usual name."""
    counting_model(folder / "named.keras", input=FACTS["input"] | {"text_column": "Frage"})
    pandas.DataFrame({"text": ["bad"], "frage": ["good"]}).to_csv(folder / "both.csv", index=False)
    for table, labels in {"both.csv": ["positive"], "texts.csv": ["positive", None, "negative"]}.items():
        _, out, _ = predict(table, "--model", "named.keras", "--jsonl")
        assert [json.loads(line).get("label") for line in out.splitlines()] == labels
    assert json.loads(predict("both.csv", "--jsonl")[1])["label"] == "negative"


def test_a_question_in_the_shell_is_a_line_of_the_table(predict):
    code, out, err = predict("How far is it to the moon? " * 20, "bad", "--top", "2", "--unsure", "0.6")
    lines = out.splitlines()
    assert code == 0 and err == "" and len(lines) == 2
    assert lines[0].startswith("How far is it to the moon? How") and lines[0].endswith("(unsure)")
    assert lines[0][59] == "…" and f"{GOOD:7.2%} negative" in lines[1]


def test_the_table_has_a_line_for_each_text_and_the_end_of_each_path(predict, folder):
    """Nothing in a text moves the cursor of a terminal."""
    path = folder / ("long" * 20) / "good.txt"
    path.parent.mkdir()
    path.write_text("good")
    code, out, err = predict("one\n\ntwo\x1b[2J\x07", str(path), "\x1b")
    first, second, third = out.splitlines()
    assert code == 0 and first.startswith("one  two\\x1b[2J\\x07 ") and third.startswith("\\x1b ")
    assert second.startswith("…") and "longlong/good.txt  " in second
    assert err.splitlines() == [f"one  two\\x1b[2J\\x07: {NO_KNOWN_WORD}", f"\\x1b: {NO_KNOWN_WORD}"]


def test_folders_archives_and_patterns_are_the_texts_in_them(predict, folder):
    (folder / "texts/deep").mkdir(parents=True)
    for name, text in (("b", "good"), ("a", "bad"), ("deep/c", "very good")):
        (folder / f"texts/{name}.txt").write_text(text)
    (folder / "texts/notes.md").write_text("bad")
    (folder / "texts/deep/latin.txt").write_bytes(b"\xf6")
    with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
        for path in (folder / "texts").rglob("*.*"):
            archive.write(path, path.relative_to(folder / "texts"))
    labels = {"a.txt": "negative", "b.txt": "positive", "deep/c.txt": "positive", "deep/latin.txt": None}
    for source in ("texts", "texts/", "texts.zip"):
        code, out, err = predict(source, "--jsonl")
        found = {row["input"]: row.get("label") for row in map(json.loads, out.splitlines())}
        assert code == 3 and found == {f"{source.rstrip('/')}/{name}": label for name, label in labels.items()}
        assert "latin.txt: line 1: the byte 0xf6 is not utf-8: save it as UTF-8" in err
    code, out, _ = predict("texts/**/[abc].txt", "How far is it?", "*good*?!", "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["input"] for row in rows[:3]] == ["texts/a.txt", "texts/b.txt", "texts/deep/c.txt"]
    assert code == 0 and [row["input"] for row in rows[3:]] == ["How far is it?", "*good*?!"]
    (folder / "texts.empty").mkdir()
    assert "texts.empty: none of its 0 files is a text (.txt)" in predict("texts.empty")[2]


def test_standard_input_has_a_text_on_each_line(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "-", "--csv"]
    done = subprocess.run(words, cwd=folder, input=b"good\n\nvery bad\n", capture_output=True, check=False)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert done.returncode == 3 and [row["label"] for row in rows] == ["positive", "", "negative"]
    assert [row["input"] for row in rows] == ["good", "standard input, line 2", "very bad"]
    assert b"standard input, line 2: no text" in done.stderr


def test_images_and_a_file_in_another_encoding_are_refused(predict, folder):
    (folder / "latin.txt").write_bytes("gut\nschön".encode("latin-1"))
    (folder / "cat.jpg").write_bytes(b"")
    code, _, err = predict("cat.jpg")
    assert code == 3 and "cat.jpg: an image, and this model takes texts" in err
    code, _, err = predict("latin.txt")
    assert code == 3 and "latin.txt: line 2: the byte 0xf6 is not utf-8: save it as UTF-8" in err


def test_a_served_model_takes_texts(folder, caplog):
    served = TableClassifier(folder)
    table = served.predict({"texts": ["good", "bad"]})
    assert table["label"].tolist() == ["positive", "negative"]
    assert table["p_positive"][0] == pytest.approx(GOOD, abs=1e-6)
    with pytest.raises(InputRefused, match="text 1 is empty"):
        served.predict(["good", ""])
    served.predict({"texts": ["good", "Guten Tag"]})
    assert caplog.messages == [f"input 1: {NO_KNOWN_WORD}"]
    described = INFERENCE_TASKS["text_classification"].describe_input(META)
    assert served.predict({described.name: described.example}).shape == (1, 3)


FORMS = {
    "as it is": "Où était-il, à Noël ?",
    "letters in parts, as macOS writes them": unicodedata.normalize("NFD", "Où était-il, à Noël ?"),
    "outer spaces and lines": "  Où était-il, à Noël ?\r\n\n",
    "a byte order mark": "\ufeffOù était-il, à Noël ?",
}


@pytest.mark.parametrize("tokens", ["words", "bytes"])
@pytest.mark.parametrize("form", FORMS)
def test_one_text_has_the_same_numbers_in_training_and_in_use(form, tokens, tmp_path):
    """Through `preprocess`, a string, a path and bytes; and the figure shows the words of these numbers."""
    text, vocabulary = FORMS[form], split_words(FORMS["as it is"]) if tokens == "words" else []
    facts = {"tokens": tokens, "max_length": 40, "truncation": "end", "vocabulary": vocabulary}
    reader = TextReader(facts, tmp_path)
    expected = reader.arrays([FORMS["as it is"]])
    (tmp_path / "a.txt").write_bytes(text.encode())
    for given in (text, tmp_path / "a.txt", text.encode()):
        np.testing.assert_array_equal(reader.arrays([given]), expected)
    (item, _), _, _ = make_texts([Text(text, "a", ""), Text("other", "b", "")], "here")
    trained = reader.numbering.number([TOKENS[tokens].split(item.text)]).words_nl
    np.testing.assert_array_equal(trained, expected)
    shown = "".join(word for word, _ in reader.numbering.weighted(text, np.ones(40)))
    assert shown.strip().casefold() == ("où était-il , à noël ?" if tokens == "words" else "où était-il, à noël ?")


def test_bad_files_among_good_ones_are_rows(predict, folder):
    (folder / "latin.txt").write_bytes("gut\nschön".encode("latin-1"))
    (folder / "blank.txt").write_text("\n")
    code, out, err = predict("good.txt", "latin.txt", "blank.txt", "very bad", "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3 and [row.get("label") for row in rows] == ["positive", None, None, "negative"]
    assert rows[1]["error"] == "line 2: the byte 0xf6 is not utf-8: save it as UTF-8" and rows[2]["error"] == "no text"
    assert "2 of 4 texts could not be used" in err


@pytest.mark.parametrize(
    "name", ["absent.txt", "my reviews/a b.txt", "cat.png", "texts/x.zip", "a/b c.CSV", "a.csv.gz"]
)
def test_a_name_of_a_file_that_is_not_there_is_no_text(name, predict):
    code, out, err = predict(name)
    assert code == 1 and not out and f"{name}: there is no such file. Put a space behind it if it is a text" in err
    assert predict(f"{name} ")[0] == 0 and predict("see good.txt")[0] == 0


def test_a_table_without_texts_names_no_parameter_of_the_training(predict, folder):
    (folder / "other.csv").write_text("a;b\n1;2\n")
    code, _, err = predict("other.csv")
    assert code == 1 and "no column text (or sentence, " in err and "are: a, b. Rename the file" in err


def test_only_line_feeds_end_the_lines_of_standard_input(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "-", "--jsonl"]
    given = "good\x0cgood\r\nbad\u2028bad\n".encode()
    done = subprocess.run(words, cwd=folder, input=given, capture_output=True, check=False)
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["positive", "negative"]
