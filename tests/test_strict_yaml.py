"""YAML as this project reads it: DVC reads every accepted text with the same values and types."""

import datetime
import math
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest
import yaml
from dvc.utils.serialize import parse_yaml
from yaml_traps import ACCEPTED, CONSTANTS, DISPUTED, NUMBERS, REFUSED, STRINGS

from cct.strict_yaml import MAX_DEPTH, StrictYAMLError, dumps, loads


def same(one, other) -> bool:
    """Equal in value, type and order of keys, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)  # two nan are alike, 0.0 and -0.0 are not
    return one == other


def check(text: str) -> bool:
    """Whether `loads` accepts a text. If it does, DVC reads the same value."""
    try:
        found = loads(text)
    except StrictYAMLError as error:
        assert error.problem and error.problem.isprintable()
        return False
    expected = parse_yaml(text, "params.yaml")
    if not found:  # DVC has an empty mapping in place of any value that is false
        found = {}
    assert same(found, expected), f"{text!r}: {found!r}, DVC reads {expected!r}"
    return True


def sample(generator: random.Random, pieces: Sequence[str], longest: int) -> str:
    return "".join(generator.choices(pieces, k=generator.randint(1, longest)))


@pytest.mark.parametrize("scalar", NUMBERS)
def test_numbers(scalar):
    assert check(f"x: {scalar}\n") and check(f"- {scalar}\n") and check(f"x: [{scalar}]\n") and check(f"{scalar}: x\n")
    assert type(loads(f"x: {scalar}\n")["x"]) in (int, float)


@pytest.mark.parametrize("scalar", CONSTANTS)
def test_booleans_and_nulls(scalar):
    assert check(f"x: {scalar}\n") and check(f"- {scalar}\n") and check(f"? {scalar}\n: x\n")
    assert loads(f"x: {scalar}\n")["x"] is CONSTANTS[scalar]


@pytest.mark.parametrize("scalar", STRINGS)
def test_strings(scalar):
    assert check(f"x: {scalar}\n") and check(f"- {scalar}\n") and check(f"{scalar}: x\n")
    assert loads(f"x: {scalar}\n") == {"x": scalar}
    check(f"x: [{scalar}]\n")


@pytest.mark.parametrize(("scalar", "instead"), DISPUTED.items())
def test_a_disputed_scalar_is_refused_with_what_to_write(scalar, instead):
    with pytest.raises(StrictYAMLError, match="means different things to different programs: ") as caught:
        loads(f"a: 1\nx: {scalar}\n")
    assert caught.value.problem.endswith(f": {instead}")
    assert (caught.value.line, caught.value.column) == (2, 4)
    assert not check(f"- {scalar}\n") and not check(f"x: [{scalar}]\n") and not check(f"{scalar}: x\n")
    assert check(f"x: '{scalar}'\n") and loads(f"x: '{scalar}'\n") == {"x": scalar}
    if instead.startswith("write ") and scalar != "<<":
        assert check(f"x: {instead.split()[1].rstrip(',')}\n")


@pytest.mark.parametrize("text", [text for texts in ACCEPTED.values() for text in texts])
def test_an_accepted_text_is_what_dvc_reads(text):
    assert check(text)


@pytest.mark.parametrize(("text", "words", "line"), REFUSED)
def test_a_refusal_says_what_and_where(text, words, line):
    with pytest.raises(StrictYAMLError, match=words) as caught:
        loads(text)
    assert caught.value.line == line and (caught.value.column is None) == (line is None)
    assert caught.value.problem.isprintable() and len(caught.value.problem) < 200


def test_dvc_reads_the_deepest_text_too():
    text = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert check(text)
    assert not check(f"- {text}")


def test_random_scalars_are_what_dvc_reads():
    generator = random.Random(0)
    accepted = 0
    for _ in range(3000):
        scalar = sample(generator, "0123456789+-._eExXoObBnfaNI:~", 6)
        accepted += check(f"x: {scalar}\n") and check(f"- {scalar}\n")
    assert accepted > 1000


@pytest.mark.parametrize(
    "pieces",
    [
        list("[]{},:?\"'a 1#-\n "),
        list(' \n-:?|>#a"  \n\n'),
        ["|", ">", "-", "+", "1", "2", " ", "\n", "\n\n", "\n ", "\n  ", "\n   ", "a", "#", "a: ", "- ", "\t"],
        ["a: ", "- ", "? ", ": ", "\n", "\n  ", "b", "'", "|\n", ">-\n", "#", "{", "}", ", ", "\n---", "\n...\n", "\r"],
    ],
    ids=["flow", "block", "scalar", "document"],
)
def test_random_texts_are_what_dvc_reads(pieces):
    generator = random.Random(0)
    before, after = ["", "", "x: ", "x:\n  ", "- ", "[", "{", "? "], ["", "\n", "]", "}", "\ny: 1\n"]
    accepted = 0
    for _ in range(1000):
        accepted += check(generator.choice(before) + sample(generator, pieces, 10) + generator.choice(after))
    assert accepted > 50


def test_an_empty_text_is_none():
    assert all(loads(text) is None for text in ("", "\n", "# a comment\n", "---\n", "---\n...\n"))


def test_only_the_whole_value_may_differ_from_dvc_if_it_is_false():
    for text, value in {"[]": [], "0": 0, "false": False, "''": "", "null": None}.items():
        assert same(loads(text), value) and parse_yaml(text, "params.yaml") == {}


def test_what_is_written_is_read_back_by_all():
    content = {
        "numbers": [0, -3, 10**30, 1.5, 1e-05, 1e300, 1e22, 0.0, -0.0, math.inf, -math.inf, math.nan],
        "words": [True, False, None, "", " a ", "a ", "a  b", "nan", *NUMBERS, *CONSTANTS, *STRINGS, *DISPUTED],
        "text": ["x\ny", "\n", "日本語", "'", '"', "\\", "#", "a #b", "a: b", "- a", "? a", "*.txt", "&a", "!a", "%a"],
        "characters": ["é\u2028", "\x85", "\ufeff", "\0", "\x7f", "\t", "😀", "data/a.yaml", "---", "...", "w " * 200],
        "empty": {"list": [], "mapping": {}, "nested": [[], [{}]]},
        "yes": 1,
        "12": 2,
        "a\nb": 3,
        "k" * 1500: 4,
        1: 5,
        None: 6,
        2.5: 7,
        False: 8,
    }
    text = dumps(content)
    assert same(loads(text), content)
    assert same(parse_yaml(text, "params.yaml"), content)
    read_as_yaml_1_1 = yaml.safe_load(text)
    assert same(read_as_yaml_1_1["numbers"], content["numbers"]) and same(read_as_yaml_1_1["words"], content["words"])


def test_random_strings_are_read_back():
    generator = random.Random(0)
    strings = [sample(generator, "0123456789+-._eExXoObBnfaNI:~ #'\"\n\\é", 8) for _ in range(2000)]
    text = dumps({"x": strings})
    assert loads(text) == parse_yaml(text, "params.yaml") == {"x": strings}


@pytest.mark.parametrize("value", [5, 1e-05, "x", "1", "", None, [], {}, [1], "a\nb"])
def test_a_single_value_is_read_back(value):
    assert same(loads(dumps(value)), value)


def test_the_form_of_what_is_written():
    shared = [1]
    assert dumps({"b": shared, "a": {"no": 1e-05, "c": [shared, "no"]}}) == (
        'b:\n- 1\na:\n  "no": 1.0e-05\n  c:\n  - - 1\n  - "no"\n'
    )
    assert dumps({"a": "w " * 200 + "w"}).count("\n") == 1, "long strings are not folded"


@pytest.mark.parametrize("value", [(1,), {1}, b"x", datetime.date(2001, 1, 1), object()])
def test_other_types_are_not_written(value):
    with pytest.raises(yaml.representer.RepresenterError):
        dumps({"x": value})


def test_importing_is_light():
    code = "import sys, cct.strict_yaml; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.partition(".")[0] for name in modules} & {"dvc", "ruamel", "keras", "tensorflow", "numpy"}
