"""`cct inspect` of texts."""

import json
import re
import shlex

import pytest
from inspected import parameters

from cct import cli
from cct.commands import inspect as command
from cct.data.arrays import DataError
from cct.data.sources import LocalSource
from cct.inspection.text_report import text_lines, text_page
from cct.inspection.texts import inspect_texts
from cct.params import ParamsError

ROWS = [f"word{place} {'good' if place % 2 else 'bad'},{'pos' if place % 2 else 'neg'}" for place in range(40)]


def facts(path, rows, **changes):
    path.write_text("\n".join(["text,label", *rows, ""]), encoding="utf-8")
    return inspect_texts(path, LocalSource(path, "mine"), parameters(**changes))


def test_all_facts_of_a_table(tmp_path):
    found = facts(tmp_path / "a.csv", [*ROWS, "word1 GOOD,pos", "word3 good,neg"], max_length=1)
    assert (found["texts"], found["name"], found["ready"]) == (42, "mine", True)
    assert [(row["name"], row["texts"]) for row in found["classes"]] == [("neg", 21), ("pos", 21)]
    assert found["splits"] == {"train": "preprocess", "val": "preprocess", "test": "preprocess"}
    assert found["lengths"] == {"min": 2, "median": 2, "percentile_95": 2, "max": 2, "longer_than_arrays": 42}
    assert found["duplicates"]["exact"] == 2 and found["most_frequent"][:2] == ["bad", "good"]
    assert [problem["title"] for problem in found["problems"]] == ["1 group of equal texts in several classes"]
    assert found["examples"]["pos"][0] == "word1 good"
    command_ = found["suggestion"]["command"]
    assert re.fullmatch(r"dvc exp run \$\(cct preset text\) -S data.source=\S+ -S preprocess.max_length=2", command_)
    lines, page = text_lines(found), text_page(found)
    assert lines.endswith("Ready: preprocess would accept these texts with the parameters as they are.")
    assert "2 texts equal an earlier one in all words" in lines and "word1 good" in lines and "word1 good" in page
    json.dumps(found)


@pytest.mark.parametrize("leaks", [1, 21])
def test_leaks_and_conflicts_have_their_own_examples(leaks, tmp_path):
    """However many of the first kind there are."""
    rows = [f"{row},{'train' if place < 30 else 'test'}" for place, row in enumerate(ROWS)]
    rows += [f"{ROWS[place]},test" for place in range(leaks)]
    conflicts = [text for text, _ in (ROWS[place].split(",") for place in (23, 25))]
    rows += [f"{text},neg,train" for text in conflicts]
    (tmp_path / "a.csv").write_text("\n".join(["text,label,split", *rows, ""]))
    found = inspect_texts(tmp_path / "a.csv", LocalSource(tmp_path / "a.csv", "mine"), parameters())
    assert [(problem["kind"], problem["count"], problem["examples"]) for problem in found["problems"]] == [
        ("leaks", leaks, [row.split(",")[0] for row in ROWS[: min(leaks, 5)]]),
        ("conflicts", 2, conflicts),
    ]


def test_the_columns_that_are_read_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["Satz,Label,note", *(f"{row},?" for row in ROWS), ""]))
    found = inspect_texts(path, LocalSource(path, "mine"), parameters(text_column="satz"))
    assert found["columns"] == {"text": "Satz", "label": "Label"}
    assert "Columns:    Satz for text, Label" in text_lines(found) and "Satz for text" in text_page(found)


def test_bytes_and_longer_arrays_are_suggested_with_their_reasons(tmp_path):
    """Each text is of one word that no other has, but one of ten letters."""
    rows = [f"{place}{'x' * 18}{place:02d},{'pos' if place % 2 else 'neg'}" for place in range(10, 50)]
    found = facts(tmp_path / "a.csv", rows, max_length=4)
    words = found["suggestion"]["parameters"][1:]
    assert words == ["preprocess.tokens=bytes", "preprocess.max_length=22"]
    assert found["suggestion"]["reasons"] == [
        "preprocess.tokens=bytes: 100% of the words of the test split are unknown",
        "preprocess.max_length=22: 100% of the texts have more than 4 bytes",
    ]
    assert "100% of the words" in text_lines(found) and "100% of the words" in text_page(found)
    assert facts(tmp_path / "a.csv", ROWS)["suggestion"]["reasons"] == []
    tenth = [f"{row.replace(',', ' more words,') if place < 4 else row}" for place, row in enumerate(ROWS)]
    assert facts(tmp_path / "a.csv", tenth, max_length=2)["suggestion"]["parameters"][1:] == []


def test_what_preprocess_refuses_is_said_with_what_to_do(tmp_path):
    found = facts(tmp_path / "a.csv", [*ROWS, "alone,rare"])
    assert not found["ready"] and found["problems"][0]["refused"]
    assert "leaves nothing on one side of: rare (1 of 1)" in found["to_do"]
    assert "train.class_weights=balanced" in found["suggestion"]["command"]
    assert "not-ready" in text_page(found)
    for shown in (text_lines(found), text_page(found)):
        assert "Suggested command, once the problems are solved" in shown


def test_the_classes_of_a_balanced_table_are_equal(tmp_path):
    even, odd = facts(tmp_path / "a.csv", ROWS), facts(tmp_path / "a.csv", ROWS[1:])
    assert "all classes have the same number of texts" in text_lines(even)
    assert "the largest class has 1.05 times the texts of the smallest" in text_lines(odd)


def test_a_question_to_the_user_has_one_mark(tmp_path, monkeypatch):
    (tmp_path / "data/vectors").mkdir(parents=True)
    (tmp_path / "data/vectors/a.txt").write_text("Katze 1 2\n")
    monkeypatch.chdir(tmp_path)
    found = facts(tmp_path / "a.csv", ROWS, embeddings="data/vectors/a.txt")
    assert found["to_do"].endswith("is it of another language?")


def test_bytes_have_no_vocabulary_and_no_words(tmp_path):
    lines = text_lines(facts(tmp_path / "a.csv", ROWS, tokens="bytes"))
    assert " bytes, median " in lines and "Vocabulary" not in lines and "unknown" not in lines


def test_texts_of_any_signs_are_escaped(tmp_path):
    rows = [row.replace("word1 ", "<b>&\u202e\x00 ") for row in ROWS]
    found = facts(tmp_path / "a.csv", rows)
    page = text_page(found)
    assert "<b>&" not in page and "&lt;b&gt;&amp;" in page and "\u202e" not in page and "script" not in page
    assert all(line.isprintable() for line in text_lines(found).split("\n"))


def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises((DataError, ParamsError), match="row 1: no label"):
        facts(tmp_path / "a.csv", ["a,"])


def test_the_command_chooses_by_the_source(tmp_path, monkeypatch, capsys):
    from clones import DEFAULTS

    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,label", *ROWS, ""]))
    (tmp_path / "params.yaml").write_text(DEFAULTS.read_text())
    monkeypatch.chdir(tmp_path)
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args([str(path), "--output", str(tmp_path / "out"), "--json"])
    assert command.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 40 and (tmp_path / "out/inspect.html").is_file()


def test_settings_are_tried_and_are_in_the_suggested_command(tmp_path, monkeypatch, capsys):
    from clones import DEFAULTS, ROOT

    path = tmp_path / "my texts.csv"
    path.write_bytes("\n".join(["Sätze,Art", *ROWS, ""]).encode("cp1252"))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("cct.commands.inspect.PARAMS", DEFAULTS)
    words = ["inspect", str(path), "--output", str(tmp_path / "out"), "--json"]
    assert cli.main(words) == 1
    assert "line 1: the byte 0xe4 is not utf-8" in capsys.readouterr().err
    columns = ("-S", "preprocess.text_column=Sätze", "-S", "preprocess.label_column=Art")
    assert cli.main([*words, *columns, "-S", "preprocess.encoding=cp1252", "-S", "train.seed=1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == {"text": "Sätze", "label": "Art"}
    assert found["suggestion"]["parameters"] == [
        f'data.source="{path}"',
        'preprocess.text_column="Sätze"',
        "preprocess.label_column=Art",
        "preprocess.encoding=cp1252",
    ]
    assert shlex.split(found["suggestion"]["command"])[7::2] == found["suggestion"]["parameters"]
    assert cli.main([*words, "-S", "preprocess.tokens=letters"]) == 1
    assert "preprocess.tokens = 'letters': must be 'words' or 'bytes'" in capsys.readouterr().err
