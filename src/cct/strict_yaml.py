"""YAML 1.2's core schema by PyYAML, without what different readers understand differently.

PyYAML by itself reads YAML 1.1, where `no` is false and `1e-3` is a string. DVC reads the same files with another
library. What `loads` accepts has the same value for both; what they disagree on is refused with the way to write it.
"""

import re
from typing import Any

import yaml

NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]+")
BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# What DVC's reader takes for numbers beyond these, or does not take for one.
DISPUTED = re.compile(
    r"[-+0-9.]?[0-9_.]*_[0-9_.]*([eE][-+]?[0-9]+)?|[-+]?0b[01_]+|[-+]0[ox][0-9a-fA-F_]+|0[ox][0-9a-fA-F_]*_[0-9a-fA-F_]*"
    r"|[-+]_[0-9_]*|[-+]?\.[0-9]+[eE][0-9]+"
)
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")
SPECIAL = {"=", "<<"}


class StrictYAMLError(ValueError):
    """A text is not YAML, or not YAML that every reader understands alike.

    Attributes:
        problem: one sentence.
        line: counted from 1, or None.
        column: likewise.
    """

    def __init__(self, problem: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line, self.column = (mark.line + 1, mark.column + 1) if mark else (None, None)


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases, tags and directives."""

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise StrictYAMLError(
                "anchors and aliases (& and *) are not allowed: write the value out", event.start_mark
            )
        if getattr(event, "tag", None):
            raise StrictYAMLError("tags (!) are not allowed: write the plain value, or quote it", event.start_mark)
        return super().compose_node(parent, index)

    def compose_document(self):
        event = self.peek_event()
        if event.version or event.tags:
            raise StrictYAMLError("directives (%) are not allowed: this is YAML 1.2", event.start_mark)
        return super().compose_document()


def loads(text: str) -> Any:
    """The value of a YAML text; None if it is empty.

    Raises:
        StrictYAMLError: it is not YAML, has a key twice, or has a value that readers understand differently.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _value(node)
    except yaml.MarkedYAMLError as error:
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0]
        raise StrictYAMLError(problem, error.problem_mark or error.context_mark) from error
    except yaml.reader.ReaderError as error:
        raise StrictYAMLError(f"the character {chr(error.character)!r} is not allowed") from error
    except RecursionError:
        raise StrictYAMLError("it is nested too deeply") from None


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _plain(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise StrictYAMLError("a name must be a single value, not a list or a mapping", key_node.start_mark)
        key = _value(key_node)
        if key in mapping:
            raise StrictYAMLError(f"the name {key_node.value} is there twice", key_node.start_mark)
        mapping[key] = _value(value_node)
    return mapping


def _plain(node: yaml.ScalarNode) -> Any:
    """The value of a scalar without quotes."""
    text = node.value
    if DISPUTED.fullmatch(text) or DATE.fullmatch(text) or text in SPECIAL:
        raise StrictYAMLError(
            f"{text} means different things to different programs: quote it, or write a number in plain digits",
            node.start_mark,
        )
    if NULL.fullmatch(text):
        return None
    if BOOL.fullmatch(text):
        return text.lower() == "true"
    if INT.fullmatch(text):
        return _int(text, 10, node)
    if BASED_INT.fullmatch(text):
        return _int(text[2:], 8 if text[1] == "o" else 16, node)
    if FLOAT.fullmatch(text):
        return float(text)
    if INFINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


def _int(text: str, base: int, node: yaml.ScalarNode) -> int:
    try:
        return int(text, base)
    except ValueError as error:  # Python's limit of digits
        raise StrictYAMLError("a number with too many digits", node.start_mark) from error


class _Dumper(yaml.SafeDumper):
    """Quotes every string that some reader would not take for one, and writes floats that all take for floats."""


def _represent_str(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[A-Za-z_/][\w/ .,()-]*", text) and not text.endswith(" ")
    words = NULL.fullmatch(text) or BOOL.fullmatch(text) or re.fullmatch(r"(?i:y|n|yes|no|on|off)", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain and not words else '"')


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    if value != value or value in (float("inf"), float("-inf")):
        text = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[repr(value)]
    else:
        text = repr(value)
        if "." not in text:  # 1e-05 is a string in YAML 1.1
            text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))
_Dumper.ignore_aliases = lambda self, data: True


def dumps(content: Any) -> str:
    """The YAML text of a value of dicts, lists, strings, numbers, booleans and None; `loads` gives it back."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
