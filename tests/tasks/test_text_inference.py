"""A trained model of texts outside the pipeline: in Python, in the shell, in MLflow."""

import csv
import io
import json
import math
import subprocess
import sys
import unicodedata

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
from cct.tasks.text_classification.inference import TextReader

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
        (7, "text 0 is a int: give a text, bytes in UTF-8, or a path"),
        ("  \n", "text 0 is empty"),
        (b"\xe4", "text 0, line 1: the byte 0xe4 is not utf-8"),
    ],
)
def test_what_is_no_text_is_refused_in_words(model, value, said):
    with pytest.raises(CCTError, match=said):
        model.predict([value])


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
    assert lines[0].startswith("…") and lines[0].endswith("(unsure)") and f"{GOOD:7.2%} negative" in lines[1]


def test_standard_input_has_a_text_on_each_line(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "-", "--csv"]
    done = subprocess.run(words, cwd=folder, input=b"good\n\nvery bad\n", capture_output=True, check=False)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert done.returncode == 3 and [row["label"] for row in rows] == ["positive", "", "negative"]
    assert [row["input"] for row in rows] == ["good", "", "very bad"]


def test_a_folder_and_a_file_in_another_encoding_are_refused(predict, folder):
    (folder / "latin.txt").write_bytes("gut\nschön".encode("latin-1"))
    code, _, err = predict(str(folder))
    assert code == 1 and "is a folder: name its files, as in " in err
    code, _, err = predict("latin.txt")
    assert code == 3 and "latin.txt: line 2: the byte 0xf6 is not utf-8: save it as UTF-8" in err


def test_a_served_model_takes_texts(folder, tmp_path):
    served = TableClassifier(folder)
    table = served.predict({"texts": ["good", "bad"]})
    assert table["label"].tolist() == ["positive", "negative"]
    assert table["p_positive"][0] == pytest.approx(GOOD, abs=1e-6)
    with pytest.raises(InputRefused, match="text 1 is empty"):
        served.predict(["good", ""])
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


def test_a_name_of_a_file_that_is_not_there_is_no_text(predict):
    code, out, err = predict("absent.txt")
    assert code == 1 and not out and "absent.txt: there is no such file. Put a space into it if it is a text" in err
    assert predict("see good.txt")[0] == 0


def test_only_line_feeds_end_the_lines_of_standard_input(folder):
    words = [sys.executable, "-m", "cct.cli", "predict", "--model", "model.keras", "-", "--jsonl"]
    given = "good\x0cgood\r\nbad\u2028bad\n".encode()
    done = subprocess.run(words, cwd=folder, input=given, capture_output=True, check=False)
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["positive", "negative"]
