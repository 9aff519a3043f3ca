"""Arbitrary YAML, descriptors and parameters are read, or refused with the reader's own error."""

from pathlib import Path

from clones import DEFAULTS
from dvc.utils.serialize import parse_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_strict_yaml import check, same

from cct.data.sources import Source
from cct.params import ParamsError, parse, read_yaml
from cct.params import check as check_params
from cct.strict_yaml import dumps, loads

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.text(st.sampled_from("ab01.-+eE_:,[]{}#&*!|>'\"%@` \n\t~=<?\\xuU"), max_size=40))
@example("a: &x 1\nb: *x")
@settings(max_examples=300)
def test_any_text_is_refused_or_read_as_dvc_reads_it(text):
    check(text)


@given(VALUES)
def test_any_value_is_written_and_read_back_by_all(value):
    text = dumps(value)
    assert same(loads(text), value)
    if value not in (None, 0, False, "", [], {}):  # of a whole text that is false DVC makes an empty mapping
        assert same(parse_yaml(text, "params.yaml"), value)


GOOD_FILE = {"file": "f", "size": 1, "sha256": "0" * 64, "urls": ["f"]}
GOOD = {"name": "n", "format": "cifar10-binary", "classes": ["a", "b"], "files": {"archive": GOOD_FILE}}


@given(
    st.dictionaries(st.sampled_from(list(GOOD)) | TEXT, VALUES, max_size=3),
    st.dictionaries(st.sampled_from(list(GOOD_FILE)) | TEXT, VALUES, max_size=3),
)
def test_any_descriptor_is_valid_or_refused_with_its_mistakes(changes, of_file):
    changes = {"files": {"archive": GOOD_FILE | of_file}} | changes
    try:
        found = parse(Source, GOOD | changes, where=Path("source.yaml"))
    except ParamsError as error:
        assert str(error).startswith("source.yaml has ") and len(str(error)) < 5000
    else:
        assert found.model_dump() == GOOD | changes


PARAMS = read_yaml(DEFAULTS)
FIELDS = [(section, field) for section, fields in PARAMS.items() for field in fields]


@given(st.sampled_from(FIELDS), VALUES)
def test_any_value_of_any_parameter_is_valid_or_refused_in_a_line(place, value):
    section, field = place
    content = {**PARAMS, section: {**PARAMS[section], field: value}}
    try:
        found = check_params(content, where=Path("params.yaml"))
    except ParamsError as error:
        lines = str(error).splitlines()
        assert lines[0].startswith("params.yaml has ") and all(len(line) < 3500 for line in lines)
    else:
        kept = getattr(found[section], field)
        assert kept == value and type(kept) in (type(value), float)
