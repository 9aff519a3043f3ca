"""`cct inspect` of texts."""

import json
import re

import pytest
from inspected import parameters

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
    assert re.fullmatch(r"dvc exp run \$\(cct preset text\) -S data.source=\S+", found["suggestion"]["command"])
    lines, page = text_lines(found), text_page(found)
    assert lines.endswith("Ready: preprocess would accept these texts with the parameters as they are.")
    assert "2 texts equal an earlier one in all words" in lines and "word1 good" in lines and "word1 good" in page
    json.dumps(found)


def test_what_preprocess_refuses_is_said_with_what_to_do(tmp_path):
    found = facts(tmp_path / "a.csv", [*ROWS, "alone,rare"])
    assert not found["ready"] and found["problems"][0]["refused"]
    assert "leaves nothing on one side of: rare (1 of 1)" in found["to_do"]
    assert "train.class_weights=balanced" in found["suggestion"]["command"]
    assert "not-ready" in text_page(found)


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
