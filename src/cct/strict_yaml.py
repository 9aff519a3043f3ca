"""Read and write YAML 1.2 (core schema) with PyYAML, and refuse texts that programs read differently.

PyYAML alone reads YAML 1.1, where `no` is false and `1e-3` is a string. DVC reads the same files with ruamel.yaml.
Every text that `loads` accepts has the same value and types for DVC. `loads` refuses other texts and gives a remedy.
One exception: DVC reads a text whose whole value is null, empty, zero or false as an empty mapping.
"""

import copy
import functools
import math
import re
from typing import Any, NoReturn

import yaml

MAX_DEPTH = 100  # PyYAML and DVC recurse into nested values; deeper texts would end in a RecursionError
MAX_DIGITS = 600  # Python does not read or print much longer integers

NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INF = re.compile(r"[-+]?\.(inf|Inf|INF)")
NAN = re.compile(r"\.(nan|NaN|NAN)")
# Numbers for DVC: the core schema's numbers, and also underscores, 0b11 and -0x1F, but not .5e1.
DVC_BASED_INT = re.compile(r"[-+]?0(b[01_]+|o[0-7_]+|x[0-9a-fA-F_]+)")
DVC_NUMBER = re.compile(
    rf"{DVC_BASED_INT.pattern}|[-+]_[0-9_]*"
    r"|[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+([eE][-+][0-9]+)?"
)
DVC_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?"
    r"([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?"
)
# YAML allows U+0085, U+2028 and U+2029, but YAML 1.1 breaks lines there and YAML 1.2 does not. U+FEFF marks byte order.
REFUSED_CHARACTER = re.compile(r"[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
PLAIN_WHEN_WRITTEN = re.compile(r"[A-Za-z_/]([\w/ .,()-]*[\w/.,()-])?")
BOOL_IN_YAML_1_1 = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)


class StrictYAMLError(Exception):
    """A text is not YAML, or has a value that programs read differently.

    Attributes:
        problem: one sentence.
        line: counted from 1, or None.
        column: counted from 1, or None.
    """

    def __init__(self, problem: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line, self.column = (mark.line + 1, mark.column + 1) if mark else (None, None)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser. Its methods for refused syntax raise an error instead."""

    depth = 0
    ended = False

    def refuse(self, problem: str) -> NoReturn:
        raise StrictYAMLError(problem, self.get_mark())

    def fetch_anchor(self) -> NoReturn:
        self.refuse("anchors and aliases (& and *) are not allowed: write the value out, or quote it")

    fetch_alias = fetch_anchor

    def fetch_tag(self) -> NoReturn:
        self.refuse("tags (!) are not allowed: write the plain value, or quote it")

    def fetch_directive(self) -> NoReturn:
        self.refuse("directives (%) are not allowed: remove the line")

    def fetch_document_end(self) -> None:
        if self.ended:  # DVC reads a second document here, PyYAML does not
            self.refuse("duplicate end mark (...): remove one")
        self.ended = True
        super().fetch_document_end()

    def scan_plain(self) -> yaml.ScalarToken:
        token = super().scan_plain()
        if self.flow_level and self.peek() == ":" and self.peek(1) in ",[]{}":  # DVC reads "a:" in {a:}
            self.refuse("a colon right before , [ ] { or } is read differently by programs: put a space between")
        return token

    def scan_block_scalar(self, style: str) -> yaml.ScalarToken:
        if self.indent < 0:  # DVC accepts its lines without indentation
            self.refuse("a text that is one block (| or >) is read differently by programs: quote it")
        return super().scan_block_scalar(style)

    def scan_block_scalar_indentation(self) -> tuple[list[str], int, yaml.Mark]:
        spaces = 0
        while self.peek(spaces) == " ":
            spaces += 1
        blank = self.peek(spaces) in "\r\n"
        found = super().scan_block_scalar_indentation()
        if blank and 0 < spaces < found[1]:  # DVC raises an error
            self.refuse("a block (| or >) begins with a blank line of too few spaces: remove its spaces")
        return found

    def parse_flow_sequence_entry_mapping_key(self) -> NoReturn:
        mark = self.peek_token().start_mark  # DVC raises an error for ["a":1]
        raise StrictYAMLError("a pair in a list needs braces: write [{a: b}], or quote it", mark)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            line = self.peek_event().start_mark.line + 1
            raise StrictYAMLError(f"it is nested too deeply (over {MAX_DEPTH} levels, line {line})")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def loads(text: str) -> Any:
    """Read the value of a YAML text.

    Args:
        text: one document.

    Returns:
        Dicts, lists, strings, numbers, booleans and None; None if the text is empty.

    Raises:
        StrictYAMLError: the text is not YAML, has a duplicate key, or has a value that programs read differently.
    """
    return copy.deepcopy(_loads(text))


@functools.lru_cache(maxsize=16)  # a stage reads dvc.lock and dvc.yaml several times, up to 0.1 s each
def _loads(text: str) -> Any:
    if found := REFUSED_CHARACTER.search(text):
        lines = re.split(r"\r\n|\r|\n", text[: found.start()])
        place = f"line {len(lines)}, column {len(lines[-1]) + 1}"
        raise StrictYAMLError(f"the character {found[0]!a} is not allowed ({place}): write its escape in double quotes")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(filter(None, [error.context, error.problem]))
        if "character '\\t'" in problem:
            problem = "a tab is not allowed here: write spaces"
        raise StrictYAMLError(problem, error.problem_mark or error.context_mark) from error
    except (ValueError, OverflowError) as error:  # PyYAML does not check the number in "\UFFFFFFFF"
        raise StrictYAMLError("an escape (\\U) is no character: its number is too large", loader.get_mark()) from error
    return None if node is None else _value(node)


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        if re.search(r"[\ud800-\udfff]", node.value):
            raise StrictYAMLError("an escape (\\u) is half a character: write the whole one", node.start_mark)
        return node.value if node.style else _plain(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    mapping: dict[Any, Any] = {}
    lines: dict[Any, int] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise StrictYAMLError("a name must be a single value, not a list or a mapping", key_node.start_mark)
        key = _value(key_node)
        if key in mapping:
            problem = f"duplicate name {_shown(key_node.value)}, first in line {lines[key]}"
            raise StrictYAMLError(problem, key_node.start_mark)
        mapping[key], lines[key] = _value(value_node), key_node.start_mark.line + 1
    return mapping


def _plain(node: yaml.ScalarNode) -> Any:
    """The value of a scalar without quotes."""
    text = node.value
    number = INT.fullmatch(text) or FLOAT.fullmatch(text)
    if bool(number) != bool(DVC_NUMBER.fullmatch(text)) or DVC_DATE.fullmatch(text) or text in ("=", "<<"):
        problem = f"{_shown(text)} means different things to different programs: {_instead(text)}"
        raise StrictYAMLError(problem, node.start_mark)
    if INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise StrictYAMLError(f"a number may have at most {MAX_DIGITS} digits: quote it", node.start_mark)
        return int(text, 0 if DVC_BASED_INT.fullmatch(text) else 10)
    if number:
        return float(text)
    if NAN.fullmatch(text):
        return math.nan  # one object, so that two NaN keys are duplicates
    if INF.fullmatch(text):
        return float(text.replace(".", ""))
    if BOOL.fullmatch(text):
        return text.lower() == "true"
    return None if NULL.fullmatch(text) else text


def _instead(text: str) -> str:
    """The remedy for a plain scalar that programs read differently."""
    if text == "<<":
        return "write the merged names out, or quote it"
    number = re.sub(r"^([-+]?)\.(?=[0-9])", r"\g<1>0.", text.replace("_", ""))
    if len(number) < MAX_DIGITS and DVC_BASED_INT.fullmatch(number):
        number = str(int(number, 0))
    known = len(number) < 60 and (INT.fullmatch(number) or FLOAT.fullmatch(number))
    return f"write {number}, or quote it" if known else "quote it"


def _shown(text: str) -> str:
    """A value as a part of a one-line message."""
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short if short and short.isprintable() else repr(short)


class _Dumper(yaml.SafeDumper):
    """Writes the types that `loads` returns, and no others."""

    ignore_aliases = staticmethod(lambda data: True)


def _represent_str(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    words = [pattern for pattern in (NULL, BOOL, BOOL_IN_YAML_1_1) if pattern.fullmatch(text)]
    style = None if PLAIN_WHEN_WRITTEN.fullmatch(text) and not words else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if not math.isfinite(value):
        text = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[text]
    elif "." not in text:  # 1e-05 is a string in YAML 1.1
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.yaml_representers = {
    # The key None stands for every other type. Its function raises an error.
    **{key: yaml.SafeDumper.yaml_representers[key] for key in (type(None), bool, int, list, dict, None)},
    str: _represent_str,
    float: _represent_float,
}


def dumps(content: Any) -> str:
    """Write a value as YAML in block style, with its keys in their order.

    Args:
        content: dicts, lists, strings, numbers, booleans and None.

    Returns:
        A text that `loads` and DVC read as the same value.

    Raises:
        yaml.representer.RepresenterError: a value has another type.
    """
    options = {"sort_keys": False, "allow_unicode": True, "default_flow_style": False, "width": math.inf}
    return yaml.dump(content, Dumper=_Dumper, **options)
