"""YAML as this project reads it: what it accepts, DVC reads with the same value and type."""

import math
import random

import pytest
import yaml
from dvc.utils.serialize import parse_yaml

from cct.strict_yaml import StrictYAMLError, dumps, loads

SCALARS = """0 1 -1 +1 00 08 017 0o17 0x1F 0x1f 0xdeadBEEF +0 -0 123456789012345678901234567890
1.0 1. .5 -.5 +5. 0. 1e3 1E3 1e-3 1e+3 1.5e-05 12e03 0e0 1.e3 1e400 -1e400 .inf .Inf .INF +.inf -.inf .nan .NaN .NAN
true True TRUE false False FALSE yes Yes YES no No NO on On off OFF y Y n N tRue nUll
~ null Null NULL 0X1F 0o8 0xg 0o 0x 0b 0b2 0o9 1e e3 .e3 . .. 1.0.0 1:30 1:30:00 190:20:30 +.nan -.nan inf nan NaN
_1 a_b x1_0 1a 1-2 2001 2001-1 12-01-01 v1.2.3 -a +a a-b x#y a=b :a a:b
http://x/y#z ./a /a/b *.txt% 5% $5 é 日本語 1,000 1;2
none None NONE - -- --- ? & | > @ ` % ! !!x &a *a { } [ ] , # ' " \\ <a> << = <<a =a""".split()  # noqa: SIM905
DISPUTED = """1_000 0b11 -0b1 +0b1 -0x1F +0o7 -0o7 1_0.5 0.1_1 1_ 1__0 .1_ 0x_1 0o1_7 .5e1 -.5e1 +.5E1 0_0 +_1 -_
2001-01-01 2026-02-30 2001-01-01T00:00:00Z = << 2001-1-1T1:00:00""".split()  # noqa: SIM905
TEXTS = [
    "a: 1\n",
    "a: 1\nb:\n  c: [1, 2]\n",
    "- a\n- 1\n",
    "x\n",
    "a:\n",
    "a: ''\n",
    "a: ' '\n",
    "a: 'it''s'\n",
    'a: "1"\n',
    "a: '1e-3'\n",
    'a: "\\x41\\u00e9\\n"\n',
    "a: |\n  x\n   y\n",
    "a: >-\n  x\n  y\n",
    "a: |+\n  x\n\n",
    "a: 'x\n  y'\n",
    "a: x\n  y\n",
    "a: x # c\n",
    "a: x#c\n",
    "# c\na: 1\n",
    "---\na: 1\n",
    "a: 1\n...\n",
    "a: [1, 2,]\n",
    "a: {b: 1, }\n",
    "a: {b}\n",
    "a: [b: 1]\n",
    "a: {}\n",
    "a: []\n",
    "a: [[1], [2]]\n",
    "{a: 1, b: [2, 3]}\n",
    '{"a": 1, "b": "x"}\n',
    "a: [x, 'y', \"z\", 1.5, null, true]\n",
    "true: 1\n",
    "null: 1\n",
    "1: a\n",
    "1.5: a\n",
    "'1': a\n1: b\n",
    "a b: c d\n",
    "a: b c\n",
    "a:\n- 1\n- 2\n",
    "a:\n  - b: 1\n    c: 2\n",
    "a: -1\n",
    "a: - 1\n",
    "a: b: c\n",
    "? a\n: 1\n",
    "a: \ufeffx\n",
    "a: \u2028x\n",
    "a: \u00a0x\n",
    "a: x\u00a0\n",
    "日本: 値\n",
    "a: '\u0085'\n",
    'a: "\t"\n',
    "a: 1 \n",
    "a: 1\t# c\n",
    "a:   1\n",
    "a: 1\r\nb: 2\r\n",
    "\n\na: 1\n",
    "a: 1\n\n\nb: 2\n",
    "a: [1,2]\n",
    "a: [1 ,2]\n",
    "a: {b: 1,c: 2}\n",
    "a: {b: }\n",
    "a: [ ]\n",
    "'a': 1\n",
    '"a": 1\n',
    "a : 1\n",
    "a: >\n  x\n\n  y\n",
    "a: |2\n   x\n",
    "a: [\n1,\n2\n]\n",
    "a: 'x' # c\n",
    "a: [a, b] # c\n",
    "a: ~\n",
    "a: x, y\n",
    "a: (1, 2)\n",
    "a: 1 2\n",
    "a: 0x1F # c\n",
    "-1: a\n",
]
REFUSED = [
    ("a: 1\na: 2\n", "the name a is there twice", 2),
    ("'a': 1\na: 2\n", "the name a is there twice", 2),
    ("1: a\n0x1: b\n", "the name 0x1 is there twice", 2),
    ("1: a\n1.0: b\n", "the name 1.0 is there twice", 2),
    ("a: {b: 1, b: 2}\n", "the name b is there twice", 1),
    ("x:\n  a: 1\n  b: 2\n  a: 3\n", "the name a is there", 4),
    ("a: &x 1\n", "anchors and aliases", 1),
    ("a: &x 1\nb: *x\n", "anchors and aliases", 1),
    ("a: *u\n", "anchors", 1),
    ("a: &a [*a]\n", "anchors", 1),
    ("a: &x {p: 1}\nb:\n  <<: *x\n", "anchors", 1),
    ("<<: {a: 1}\n", "<< means", 1),
    ("a: !!python/object:os.system x\n", "tags", 1),
    ("a: !foo x\n", "tags", 1),
    ("a: !!str 1\n", "tags", 1),
    ("a: !!binary aGk=\n", "tags", 1),
    ("a: !!set {x}\n", "tags", 1),
    ("a: ! x\n", "tags", 1),
    ("? [1, 2]\n: x\n", "a name", 1),
    ("%YAML 1.1\n---\na: yes\n", "directives", 1),
    ("%YAML 1.2\n---\na: yes\n", "directives", 1),
    ("%TAG ! tag:x,2000:\n---\na: 1\n", "directives", 1),
    ("---\na: 1\n---\nb: 2\n", "but found another document", 3),
    ("\tb: 1\n", r"found character '\\t'", 1),
    ("a: @x\n", "found character '@'", 1),
    ("a: `x\n", "found character '`'", 1),
    ("a: - b\n", "not allowed here", 1),
    ("a: b: c\n", "mapping values are not allowed here", 1),
    ("a: [1\n", "expected", 2),
    ("a: 'x\n", "found unexpected end of stream", 2),
    ("a: \x07\n", r"the character '\\x07' is not allowed", None),
    ("a: \ud800\n", "not allowed", None),
    ("a: 2026-02-30\n", "2026-02-30 means different things", 1),
    ("a: " + "9" * 5000 + "\n", "a number with too many digits", 1),
    ("a: " + "[" * 20000 + "]" * 20000 + "\n", "nested too deeply", None),
]


def same(one, other) -> bool:
    """Equal in value and type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def check(text: str) -> bool:
    """Whether it is accepted; then it must be what DVC reads."""
    try:
        found = loads(text)
    except StrictYAMLError as error:
        assert error.problem and "\n" not in error.problem
        return False
    expected = parse_yaml(text, "params.yaml")
    assert same(found, expected), f"{text!r}: {found!r}, DVC reads {expected!r}"
    return True


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_scalar_is_what_dvc_reads(scalar):
    accepted = [check(f"x: {scalar}\n"), check(f"- {scalar}\n"), check(f"x: [{scalar}]\n")]
    if scalar[0].isalnum() and scalar not in DISPUTED:
        assert accepted[0]


@pytest.mark.parametrize("scalar", DISPUTED)
def test_a_disputed_scalar_is_refused_and_can_be_quoted(scalar):
    with pytest.raises(StrictYAMLError, match="means different things to different programs: quote it") as caught:
        loads(f"a: 1\nx: {scalar}\n")
    assert (caught.value.line, caught.value.column) == (2, 4)
    assert loads(f"x: '{scalar}'\n") == parse_yaml(f"x: '{scalar}'\n", "params.yaml") == {"x": scalar}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_what_dvc_reads(text):
    check(text)


@pytest.mark.parametrize(("text", "words", "line"), REFUSED)
def test_a_refusal_says_what_and_where(text, words, line):
    with pytest.raises(StrictYAMLError, match=words) as caught:
        loads(text)
    assert caught.value.line == line


def test_random_scalars_are_what_dvc_reads():
    generator = random.Random(0)
    accepted = 0
    for _ in range(3000):
        text = "".join(generator.choices("0123456789+-._eExXoObBnfaNI:~", k=generator.randint(1, 6)))
        accepted += check(f"x: {text}\n")
    assert accepted > 1000


def test_an_empty_text_is_nothing():
    assert loads("") is None and loads("# a comment\n") is None


def test_what_is_written_is_read_back_by_all():
    content = {
        "numbers": [0, -3, 1.5, 1e-05, 1e300, 1e22, 0.0, -0.0, float("inf"), float("-inf")],
        "words": [
            True,
            False,
            None,
            "true",
            "yes",
            "null",
            "",
            " a ",
            "1e-3",
            "1_000",
            "2001-01-01",
            "=",
            "<<",
            "a: b",
        ],
        "text": ["x\ny", "日本語", "'", '"', "\\", "#", "- a", "data/sources/a.yaml", "\t", "é\u2028", "0x1F", "-"],
        "empty": {"list": [], "mapping": {}},
        "yes": 1,
        "12": 2,
    }
    text = dumps(content)
    assert same(loads(text), content)
    assert same(parse_yaml(text, "params.yaml"), content)
    assert list(loads(text)) == list(content)
    assert yaml.safe_load(text)["numbers"][3] == 1e-05, "a reader of YAML 1.1 agrees on numbers"
