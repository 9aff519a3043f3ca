"""A parameter is described once, in its schema. The description is the same everywhere."""

import importlib.util
import re

import pytest
import yaml
from clones import DEFAULTS, ROOT

from cct import cli
from cct.errors import CCTError
from cct.markers import fill_markers
from cct.param_docs import commented, parameters, section_docs
from cct.params import load, parse_yaml

REMEDY, BEGIN = "run make params", "<!-- a: made by x -->\n"
ALL = {parameter.name: parameter for group in parameters().values() for parameter in group}


def script():
    spec = importlib.util.spec_from_file_location("param_docs_script", ROOT / "scripts/param_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def comments(text: str) -> list[str]:
    """Of each line its key and comment; the values are the user's."""
    return [re.sub(r"^(\s*\w+:)[^#]*?\s*(#.*)?$", r"\1 \2", line) for line in text.splitlines()]


@pytest.mark.parametrize("path", [ROOT / "params.yaml", DEFAULTS], ids=["params.yaml", "tests/params.yaml"])
def test_the_comments_of_a_file_are_those_of_the_schemas(path):
    text = path.read_text(encoding="utf-8")
    assert comments(text) == comments(commented(text)), REMEDY


def test_no_comment_is_lost_where_dvc_has_written_the_values():
    """It writes null as nothing, and a list in lines of its own."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    rewritten = text.replace("  pool_after: null", "  pool_after:\n  - 1\n  - 3").replace(": null", ":")
    words = [" ".join(re.findall("# (.*)", one)) for one in (text, commented(rewritten))]
    assert words[0] == words[1]
    assert yaml.safe_load(commented(rewritten)) == yaml.safe_load(rewritten)


def test_both_files_have_the_same_parameters():
    ours, tests = load(ROOT / "params.yaml"), load(DEFAULTS)
    assert {name: list(section.model_dump()) for name, section in ours.items()} == {
        name: list(section.model_dump()) for name, section in tests.items()
    }, "copy the line of a new parameter into tests/params.yaml"


def test_the_page_of_parameters_is_up_to_date():
    made = script()
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), REMEDY


def test_comments_change_no_value_and_are_stable():
    text = DEFAULTS.read_text(encoding="utf-8")
    bare = re.sub(r"\s+#.*", "", text)
    once = commented(bare)
    assert parse_yaml(once, where="") == parse_yaml(text, where="") and commented(once) == once
    assert max(map(len, once.splitlines())) <= 120


def test_values_with_a_hash_in_quotes_stay():
    text = 'data:\n  # stale\n  source: "a # b.yaml" # stale\n'
    made = commented(text)
    assert parse_yaml(made, where="") == {"data": {"source": "a # b.yaml"}} and "stale" not in made
    assert commented("# mine\nmine:\n  x: 1\n") == "# mine\nmine:\n  x: 1\n"  # not ours: `cct check` refuses it


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("train.epochs", "integer, 1 to 100,000"),
        ("train.schedule", "constant, cosine, linear or step"),
        ("train.weight_decay", "0 to below 1"),
        ("train.ema_decay", "above 0, at most 0.999999"),  # its meaning says what null does
        ("train.clip_norm", "1e-6 or more"),
        ("train.seed", "integer, 0 to 4,294,967,295"),
        ("preprocess.validation_fraction", "above 0, below 1"),
        ("model.num_layers", "integer, 1 to 1,024, or null"),
        ("model.qkv_bias", "true, false or null"),
        ("data.source", ""),
    ],
)
def test_allowed_values_are_in_words(name, allowed):
    assert ALL[name].allowed == allowed


def test_every_parameter_and_section_has_a_meaning():
    assert all(parameter.meaning for parameter in ALL.values()) and all(section_docs().values())
    for parameter in ALL.values():
        assert "|" not in parameter.sentence  # it ends a cell of the table
        assert not parameter.meaning.endswith(".")


def test_the_command_explains_a_parameter(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main(["params", "train.schedule"]) == cli.main(["params", "schedule"]) == 0
    one, two = capsys.readouterr().out.split("train.schedule = ")[1:]
    assert one == two and ALL["train.schedule"].meaning in " ".join(one.split())
    assert cli.main(["params", "train.init_from", "runtime.deterministic"]) == 0
    said = capsys.readouterr().out  # values as people write them in YAML
    assert "train.init_from = null\n" in said and "runtime.deterministic = true\n" in said
    assert cli.main(["params", "plot"]) == 0
    assert capsys.readouterr().out.startswith(f"plot: {section_docs()['plot']}\nplot.dpi = ")
    assert cli.main(["params"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name} = " in shown for name in ALL)
    assert cli.main(["params", "train.scedule"]) == 1
    assert capsys.readouterr().err == "error: no parameter 'train.scedule'; did you mean train.schedule?\n"


OTHER = "<!-- b: made by x -->\n"


@pytest.mark.parametrize(
    "text", ["", BEGIN, f"<!-- end -->\n{BEGIN}", f"{BEGIN}{BEGIN}<!-- end -->", f"{BEGIN}text\n{OTHER}<!-- end -->\n"]
)
def test_markers_that_are_not_there_are_refused(text, tmp_path):
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(CCTError, match=r"a\.md must have the lines <!-- a: made by"):
        fill_markers(tmp_path / "a.md", {"a": "text"})


def test_content_goes_between_its_markers(tmp_path):
    one, other = (f"<!-- {name}: made by x -->" for name in ("one", "other"))
    page = tmp_path / "a.md"
    page.write_text(f"a\n{one}\nold\n<!-- end -->\nb\n{other}\nold\n<!-- end -->\n")
    made = fill_markers(page, {"other": "new"})
    assert made == f"a\n{one}\nold\n<!-- end -->\nb\n{other}\n\nnew\n\n<!-- end -->\n"
    page.write_text(made)
    assert fill_markers(page, {"other": "new"}) == made
