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

from cct.strict_yaml import MAX_DEPTH, StrictYAMLError, dumps, loads

NUMBERS = """0 1 -1 +1 00 08 017 -017 0o17 0o0 0x1F 0x1f 0xdeadBEEF 0x0 +0 -0 123456789012345678901234567890
1.0 1. .5 -.5 +.5 +5. 0. -0.0 1e3 1E3 1e-3 1e+3 -1e3 +1e3 1.5e-05 12e03 0e0 1.e3 .5e+1 .5E-1 1e400 -1e400
.inf .Inf .INF +.inf -.inf .nan .NaN .NAN""".split()  # noqa: SIM905
CONSTANTS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
CONSTANTS |= {"~": None, "null": None, "Null": None, "NULL": None, "": None}
STRINGS = """yes Yes YES no No NO on On ON off OFF y Y n N tRue nUll none None NONE nan inf NaN +.nan -.nan .Nan .iNF
0X1F 0O17 0B1 0o8 0xg 0o 0x 0b 0b2 0o9 1e 1e+ e3 .e3 .e+1 . .. +. -- 1.0.0 1e1_0 1.5. v1.2.3
1:30 1:30:00 190:20:30 190:20:30.15 12:30:45 _ _1 __ a_b x1_0 1a 1-2 -a +a a-b 1,000 1;2 5% $5
2001- 2001-1 2001-1-1 2001-1-1x 12-01-01 20010-01-01 2001-01-01T 2001/01/01 2001-01-01x
~1 =a <<a x#y a=b :a a:b http://x/y#z ./a /a/b (*.txt) <a> é 日本語 ١٢ 1٢ 😀""".split()  # noqa: SIM905
DISPUTED = {  # and the end of the message
    "1_000": "write 1000, or quote it",
    "1_": "write 1, or quote it",
    "1__0": "write 10, or quote it",
    "0_7": "write 07, or quote it",
    "-1_0": "write -10, or quote it",
    "+_1": "write +1, or quote it",
    "-_": "quote it",
    "1_0.5": "write 10.5, or quote it",
    "0.1_1": "write 0.11, or quote it",
    "1_0e3": "write 10e3, or quote it",
    "1._5": "write 1.5, or quote it",
    "._5": "write 0.5, or quote it",
    "._": "quote it",
    ".5e1": "write 0.5e1, or quote it",
    "-.5e1": "write -0.5e1, or quote it",
    "+.5E1": "write +0.5E1, or quote it",
    "0b11": "write 3, or quote it",
    "-0b1": "write -1, or quote it",
    "+0b1": "write 1, or quote it",
    "0b_": "quote it",
    "-0x1F": "write -31, or quote it",
    "+0x1F": "write 31, or quote it",
    "0x_1": "write 1, or quote it",
    "0x_": "quote it",
    "+0o7": "write 7, or quote it",
    "-0o7": "write -7, or quote it",
    "0o1_7": "write 15, or quote it",
    "1_" + "0" * 100: "quote it",
    "2001-01-01": "quote it",
    "2026-02-30": "quote it",
    "2001-13-45": "quote it",
    "2001-01-01T00:00:00Z": "quote it",
    "2001-01-01t00:00:00.5": "quote it",
    "2001-1-1T1:00:00": "quote it",
    "2001-01-01 00:00:00": "quote it",
    "2001-01-01 00:00:00 +01:00": "quote it",
    "=": "quote it",
    "<<": "write the merged names out, or quote it",
}
ACCEPTED = {
    "empty values": ["a:\n", "a: ''\n", 'a: ""\n', "a: []\n", "a: {}\n", "a: [ ]\n", "-\n", "- a\n-\n", "a:\n-\n"],
    "block collections": [
        "a: 1\nb:\n  c: [1, 2]\n",
        "- a\n- 1\n",
        "a:\n- 1\n- 2\n",
        "a:\n  - b: 1\n    c: 2\n",
        "- - 1\n  - 2\n- - 3\n",
        "-   a: 1\n    b: 2\n",
        "? a\n: 1\n",
        "? a\n",
    ],
    "flow collections": [
        "a: [1, 2,]\n",
        "a: [1 ,2]\n",
        "a: [1,2]\n",
        "a: [[1], [2]]\n",
        "a: {b: 1, }\n",
        "a: {b: 1,c: 2}\n",
        "a: {b}\n",
        "a: {b: }\n",
        "a: {b: , c: 1}\n",
        "{a: 1, b: [2, 3]}\n",
        '{"a": 1, "b": "x"}\n',
        '{"a":1,"b":[1,{"c":null}]}\n',
        "a: {b:1}\n",
        "a: [b:c, http://x/y]\n",
        "a: [x, 'y', \"z\", 1.5, null, true, ~, 1e-3]\n",
        "a: [\n1,\n2\n]\n",
        "a: {x: 1,\ny: 2}\n",
        "a: [x\n  y]\n",
        "a: [1, 2\n\n# c\n, 3]\n",
    ],
    "keys": [
        "true: 1\n",
        "yes: 1\n",
        "null: 1\n",
        "~: 1\n",
        "1: a\n",
        "-1: a\n",
        "0x1F: a\n",
        "1.5: a\n",
        "1e-3: a\n",
        ".inf: a\n",
        ".nan: a\n",
        "'1': a\n1: b\n",
        "'true': a\ntrue: b\n",
        "'': a\n",
        "'<<': 1\n",
        "'=': 1\n",
        "a b: c d\n",
        "'a': 1\n",
        '"a": 1\n',
        "a : 1\n",
        "a:b: c\n",
        "日本: 値\n",
        '"a\\nb": 1\n',
        "a: {b: 1}\nb: {b: 1}\n",
        f"? {'k' * 1500}\n: 1\n",
    ],
    "quotes": [
        "a: ' '\n",
        "a: 'it''s'\n",
        'a: "1"\n',
        "a: '1e-3'\n",
        "a: 'null'\n",
        "a: '2001-01-01'\n",
        "a: '0b1'\n",
        "a: '*x &y !z'\n",
        'a: "\\x41\\u00e9\\U0001F600\\n\\t\\0\\e\\/\\\\\\""\n',
        'a: "\\N\\_\\L\\P\\u2028\\x85\\ufeff"\n',
        "a: 'x\n  y'\n",
        "a: 'x\n\n  y'\n",
        'a: "x\ny"\n',
        'a: "x\\\n  y"\n',
        'a: "x \\\n  \\ y"\n',
        'a: "\t"\n',
    ],
    "blocks": [
        "a: |\n  x\n   y\n",
        "a: |\n  1\n",
        "a: >-\n  x\n  y\n",
        "a: |+\n  x\n\n",
        "a: >\n  x\n\n  y\n",
        "a: >\n\n x\n\n\n  y\n z\n",
        "a: |2\n   x\n",
        "a: |2-\n   x\n",
        "a: |-2\n   x\n",
        "a: |\n\n  x\n",
        "a: |\n  x\n  \n  y\n",
        "a: |\n  x\n    \n  y\n",
        "a: |\n \tx\n",
        "a: |\n  # x\n",
        "a: | # c\n  x\n",
        "a: |\nb: 1\n",
        "- |\n x\n-\n",
        "? |\n  a\n: 1\n",
    ],
    "plain text": [
        "x\n",
        "a: b c\n",
        "a: x\n  y\n",
        "a: x\n\n\n  y\n",
        "a: 1\n  2\n",
        "a: x, y\n",
        "a: (1, 2)\n",
        "a: 1 2\n",
        "a: b@`%&*!\n",
        'a: "b\n  c"\n',
        "a: ---\n",
        "a: x --- y\n",
        "- a\n -b\n",
        "a: \u00a0x\n",
        "a: x\u00a0\n",
        "a: \u200b\ufffd\n",
    ],
    "comments": [
        "a: x # c\n",
        "a: x#c\n",
        "a: 'x' # c\n",
        "a: 'x'#c\n",
        "a: [a, b] # c\n",
        "# c\na: 1\n",
        "a: 1\n# c\n",
        "a:\n  # c\n  b: 1\n",
        "a: {b: 1 # c\n}\n",
        "a: # c\n  1\n",
        "# \N{SNOWMAN}\na: 1\n",
    ],
    "lines and spaces": [
        "a: 1 \n",
        "a:   1\n",
        "a: 1\r\nb: 2\r\n",
        "a: 1\rb: 2\r",
        "\n\na: 1\n",
        "a: 1\n\n\nb: 2\n",
        "a: 1",
    ],
    "documents": [
        "---\na: 1\n",
        "--- {a: 1}\n",
        "--- a\n",
        "--- # c\na: 1\n",
        "a: 1\n...\n",
        "---\na: 1\n...\n# c\n",
        "---a\n",
    ],
}
REFUSED = [
    ("a: 1\na: 2\n", "the name a is there twice, first in line 1", 2),
    ("'a': 1\na: 2\n", "the name a is there twice, first in line 1", 2),
    ('a: 1\n"a": 2\n', "the name a is there twice", 2),
    ('"\\x61": 1\na: 2\n', "the name a is there twice", 2),
    ('"a\\nb": 1\n"a\\nb": 2\n', r"the name 'a\\nb' is there twice", 2),
    ("'': 1\n'': 2\n", "the name '' is there twice", 2),
    ("1: a\n0x1: b\n", "the name 0x1 is there twice, first in line 1", 2),
    ("1: a\n01: b\n", "the name 01 is there twice", 2),
    ("1: a\n1.0: b\n", "the name 1.0 is there twice", 2),
    ("true: a\n1: b\n", "the name 1 is there twice", 2),
    ("true: a\nTrue: b\n", "the name True is there twice", 2),
    ("null: a\n~: b\n", "the name ~ is there twice", 2),
    (".nan: a\n.NaN: b\n", r"the name \.NaN is there twice", 2),
    ("0.0: a\n-0.0: b\n", r"the name -0\.0 is there twice", 2),
    ("a: {b: 1, b: 2}\n", "the name b is there twice", 1),
    ("a: {b, b}\n", "the name b is there twice", 1),
    ("x:\n  a: 1\n  b: 2\n  a: 3\n", "the name a is there twice, first in line 2", 4),
    ("- a: 1\n  a: 1\n", "the name a is there twice", 2),
    (f"{'k' * 500}: 1\n{'k' * 500}: 2\n", r"the name k{57}\.\.\. is there twice", 2),
    ("a: &x 1\n", "anchors and aliases", 1),
    ("a: &x\n", "anchors and aliases", 1),
    ("a: &x 1\nb: *x\n", "anchors and aliases", 1),
    ("a: *u\n", "anchors and aliases", 1),
    ("*u : 1\n", "anchors and aliases", 1),
    ("a: *.txt\n", r"anchors and aliases \(& and \*\) are not allowed: write the value out, or quote it", 1),
    ("a: &a [*a]\n", "anchors and aliases", 1),
    ("a: 1\nb: &b {c: *b}\n", "anchors and aliases", 2),
    ("a: &x {p: 1}\nb:\n  <<: *x\n", "anchors and aliases", 1),
    ("a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "anchors and aliases", 1),
    ("<<: {a: 1}\n", "<< means different things .* write the merged names out", 1),
    ("a:\n  <<: [{a: 1}]\n", "<< means different things", 2),
    ("=: 1\n", "= means different things", 1),
    ("1_000: a\n", "1_000 means different things to different programs: write 1000, or quote it", 1),
    ("2001-01-01: a\n", "2001-01-01 means different things", 1),
    ("a: !!python/object:os.system x\n", "tags", 1),
    ("a: !!python/object/apply:os.getcwd []\n", "tags", 1),
    ("a: !foo x\n", "tags", 1),
    ("a: !<tag:x> x\n", "tags", 1),
    ("a: !!str 1\n", "tags", 1),
    ("a: !!int x\n", "tags", 1),
    ("a: !!float 1\n", "tags", 1),
    ("a: !!binary aGk=\n", "tags", 1),
    ("a: !!set {x}\n", "tags", 1),
    ("a: !!omap [x: 1]\n", "tags", 1),
    ("a: !!timestamp 2001-01-01\n", "tags", 1),
    ("!!map {a: 1}\n", "tags", 1),
    ("a: ! x\n", r"tags \(!\) are not allowed: write the plain value, or quote it", 1),
    ("? [1, 2]\n: x\n", "a name must be a single value", 1),
    ("? {a: 1}\n: x\n", "a name must be a single value", 1),
    ("? - a\n: x\n", "a name must be a single value", 1),
    ("{[a]: 1}\n", "a name must be a single value", 1),
    ("%YAML 1.1\n---\na: yes\n", r"directives \(%\) are not allowed", 1),
    ("%YAML 1.2\n---\na: yes\n", "directives", 1),
    ("%YAML 1.3\n---\na: yes\n", "directives", 1),
    ("%YAML 2.0\n---\na: yes\n", "directives", 1),
    ("%TAG ! tag:x,2000:\n---\na: 1\n", "directives", 1),
    ("%FOO bar\n---\na: 1\n", "directives", 1),
    ("a: 1\n%x\n", "directives", 2),
    ("---\na: 1\n---\nb: 2\n", "expected a single document in the stream, but found another document", 3),
    ("a: 1\n---\n", "but found another document", 2),
    ("---\n---\n", "but found another document", 2),
    ("a: 1\n...\nb: 2\n", "expected '<document start>'", 3),
    ("a: 1\n...\n...\n", r"the end mark \(\.\.\.\) is there twice", 3),
    ("...\na: 1\n", "expected the node content, but found '<document end>'", 1),
    ("\tb: 1\n", "a tab is not allowed here: write spaces", 1),
    ("a:\tb\n", "a tab is not allowed here: write spaces", 1),
    ("a: 1\n\tb: 2\n", "a tab is not allowed here: write spaces", 2),
    ("a: b\tc\n", "a tab is not allowed here: write spaces", 1),
    ("a: 1\t# c\n", "a tab is not allowed here: write spaces", 1),
    ("-\ta\n", "a tab is not allowed here: write spaces", 1),
    ("a: [1,\t2]\n", "a tab is not allowed here: write spaces", 1),
    (": 1\n", "expected <block end>", 1),
    ("a: @x\n", "found character '@'", 1),
    ("a: `x\n", "found character '`'", 1),
    ("a: %x\n", "found character '%'", 1),
    ("a: - b\n", "sequence entries are not allowed here", 1),
    ("a: -\n", "sequence entries are not allowed here", 1),
    ("a: b: c\n", "mapping values are not allowed here", 1),
    (f"{'k' * 1500}: 1\n", "mapping values are not allowed here", 1),
    ("a: 1\nb\n", "could not find expected ':'", 3),
    ("a: 1\n b: 2\n", "mapping values are not allowed here", 2),
    ("- a\nb: 1\n", "expected <block end>", 2),
    ("a: 'b' c\n", "expected <block end>", 1),
    ("a: [1\n", "while parsing a flow sequence, expected", 2),
    ("a: {b\n", "while parsing a flow mapping, expected", 2),
    ("a: [,]\n", "expected the node content", 1),
    ("a: 'x\n", "found unexpected end of stream", 2),
    ('a: "x\n--- y"\n', "found unexpected document separator", 2),
    ('a: "\\q"\n', "found unknown escape character 'q'", 1),
    ('a: "\\xg"\n', "expected escape sequence of 2 hexadecimal numbers", 1),
    ('a: "\\U00110000"\n', "its number is too large", 1),
    ('a: "\\UFFFFFFFF"\n', "its number is too large", 1),
    ('a: "\\ud800"\n', "half a character", 1),
    ('a: "\\ud83d\\ude00"\n', "half a character", 1),
    ("a: {b:}\n", "a colon right before", 1),
    ("a: [b:]\n", "a colon right before", 1),
    ("a: {b:[1]}\n", "a colon right before", 1),
    ("a: [b: 1]\n", r"a pair in a list needs braces: write \[\{a: b\}\]", 1),
    ('a: ["b":1]\n', "a pair in a list needs braces", 1),
    ("a: [? b]\n", "a pair in a list needs braces", 1),
    ("|\n#x\n", r"a text that is one block \(\| or >\) is read differently", 1),
    ("--- >\n x\n", "a text that is one block", 1),
    ("a: |\n  \n    x\n", "begins with a blank line of too few spaces", 3),
    ("a: |0\n x\n", "expected indentation indicator in the range 1-9", 1),
    ("a: |x\n", "expected chomping or indentation indicators", 1),
    ("a: 1\nb: \x07\n", r"the character '\\x07' is not allowed \(line 2, column 4\)", None),
    ("a: \0\n", r"the character '\\x00' is not allowed", None),
    ("a: \x7f\n", r"the character '\\x7f' is not allowed", None),
    ("a: \ud800\n", r"the character '\\ud800' is not allowed", None),
    ("a: \ufffe\n", r"the character '\\ufffe' is not allowed", None),
    ("\ufeffa: 1\n", r"the character '\\ufeff' is not allowed \(line 1, column 1\)", None),
    ("a: \ufeffx\n", r"the character '\\ufeff' is not allowed", None),
    ("a: '\x85'\n", r"the character '\\x85' is not allowed", None),
    ("a: x\x85b: y\n", r"the character '\\x85' is not allowed", None),
    ("# \u2028a: 1\n", r"the character '\\u2028' is not allowed", None),
    ("a: 1\r\n\rb: \u2029\n", r"the character '\\u2029' is not allowed \(line 3, column 4\)", None),
    ("a: " + "9" * 5000 + "\n", "a number with too many digits", 1),
    ("a: 0x" + "f" * 50000 + "\n", "a number with too many digits", 1),
    ("a: " + "[" * 20000 + "]" * 20000 + "\n", "nested too deeply", None),
    ("- " * 20000 + "\n", "nested too deeply", None),
    ("{a: " * 20000 + "\n", "nested too deeply", None),
    ("? " * 20000 + "\n", "nested too deeply", None),
]


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
