"""The meaning of each parameter, from the schemas, for `params.yaml`, the documentation and `cct params`."""

import re
import textwrap
from dataclasses import dataclass
from typing import Any

from cct.params import form_of, schemas

WIDTH = 120  # characters of a line in params.yaml
SECTION_LINE = re.compile(r"^(\w+):\s*(?:#.*)?$")
QUOTED = r""""(?:[^"\\]|\\.)*"|'[^']*'"""
VALUE_LINE = re.compile(rf"^(  (\w+):(?: +(?:{QUOTED}|[^#\s\"'][^#]*?))?)(?:\s+#.*)?$")  # DVC writes null as nothing


@dataclass(frozen=True)
class Parameter:
    """A field of a section of `params.yaml`.

    Attributes:
        name: its full name, such as "train.epochs".
        meaning: a phrase, without the allowed values.
        allowed: the allowed values in words; empty if the meaning has them.
    """

    name: str
    meaning: str
    allowed: str

    @property
    def sentence(self) -> str:
        """Meaning and allowed values in one line."""
        return f"{self.meaning} ({self.allowed})" if self.allowed else self.meaning


def parameters() -> dict[str, list[Parameter]]:
    """Every parameter by its section, in the order of the schemas."""
    return {
        section: [
            Parameter(f"{section}.{field}", content["description"], _allowed(content))
            for field, content in schema.model_json_schema()["properties"].items()
        ]
        for section, schema in schemas().items()
    }


def section_docs() -> dict[str, str]:
    """A sentence about each section."""
    return {section: " ".join((schema.__doc__ or "").split()) for section, schema in schemas().items()}


def _allowed(content: dict[str, Any]) -> str:
    """The values that a JSON schema of one field allows, in words."""
    if form := form_of(content):
        return form
    values = content.get("anyOf", [content])
    choices = _choices(values[0])
    if not choices:
        return ""
    if len(values) > 1 and "null:" not in content["description"]:
        choices = [*choices, "null"]
    *some, last = choices
    comma = "," if "," in "".join(some) else ""
    return f"{', '.join(some)}{comma} or {last}" if some else last


def _choices(content: dict[str, Any]) -> list[str]:
    if "enum" in content:
        return content["enum"]
    if content["type"] == "boolean":
        return ["true", "false"]
    if content["type"] == "integer":
        return [f"integer, {_range(content)}"]
    return [_range(content)] if content["type"] == "number" else []


def _range(content: dict[str, Any]) -> str:
    low, above = content.get("minimum"), content.get("exclusiveMinimum")
    high, below = content.get("maximum"), content.get("exclusiveMaximum")
    if content["type"] == "integer" and below is not None:
        high, below = below - 1, None
    start = _number(low) if above is None else f"above {_number(above)}"
    if below is not None:
        return f"{start}, below {_number(below)}" if low is None else f"{start} to below {_number(below)}"
    if high is None:
        return f"{start} or more"
    return f"{start}, at most {_number(high)}" if low is None else f"{start} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,}".replace("e-0", "e-")


def commented(text: str) -> str:
    """The text of `params.yaml` with every parameter's comment from the schemas.

    Indented comments are replaced. Values and comments at the start of a line do not change.
    """
    known, sections = parameters(), section_docs()
    meanings = {parameter.name: parameter.sentence for group in known.values() for parameter in group}
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        if re.match(r"\s+#", line):
            continue
        if found := SECTION_LINE.match(line):
            section = found[1]
            lines.append(f"{section}: # {sections[section]}" if section in sections else line)
        elif (found := VALUE_LINE.match(line)) and (meaning := meanings.get(f"{section}.{found[2]}")):
            whole = f"{found[1]} # {meaning}"
            above = textwrap.wrap(meaning, WIDTH, initial_indent="  # ", subsequent_indent="  # ")
            lines += [whole] if len(whole) <= WIDTH else [*above, found[1]]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def markdown_table(section: str) -> str:
    """The parameters of a section as a table in Markdown."""
    rows = [
        f"| `{parameter.name}` | {parameter.allowed} | {parameter.meaning} |" for parameter in parameters()[section]
    ]
    return "\n".join(["| parameter | allowed values | meaning |", "| --- | --- | --- |", *rows])
