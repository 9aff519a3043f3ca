"""Reads `params.yaml`, checks every key and value, and reports all mistakes at once.

Each section's schema is beside the code that uses it, so that a new option of one stage does not change another stage.
Every stage's `load` checks the whole file, so that a typo in `plot` is found before a night of `train`.
"""

import difflib
import importlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from cct.errors import CCTError
from cct.strict_yaml import StrictYAMLError, loads

# Names, not imports: imported modules are dependencies of a stage in DVC. The schema of another stage can refuse a file
# but cannot change a result. So it is imported when a file is checked, and is no dependency.
SECTIONS = {
    "data": "cct.data.params:DataParams",
    "preprocess": "cct.data.params:PreprocessParams",
    "model": "cct.models.architectures:ModelParams",
    "augment": "cct.augment.params:AugmentParams",
    "train": "cct.training.params:TrainParams",
    "runtime": "cct.runtime.params:RuntimeParams",
    "evaluate": "cct.evaluation.params:EvaluateParams",
    "plot": "cct.evaluation.figures.params:PlotParams",
}
MAX_BYTES, MAX_SHOWN = 1_000_000, 200  # of a YAML file; characters of a value in a message
SectionT = TypeVar("SectionT", bound="Section")


class ParamsError(CCTError):
    """`params.yaml`, or another YAML file that people write, is missing or has mistakes."""


class Section(BaseModel):
    """Base of every schema: unknown keys are errors, values are not converted, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}  # new names of fields by their former names, which are refused

    @field_validator("*")
    @classmethod
    def _no_control_characters(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.isprintable():
            raise ValueError("must be text without control characters and line breaks")
        return value


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file with the rules of `cct.strict_yaml`.

    Raises:
        ParamsError: the file is absent or unreadable, is not YAML, has a duplicate key, or is not a mapping.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may have no end
            raise ParamsError(f"{path} is not a plain file: give the path of a YAML file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ParamsError(
                f"{path} has more than {MAX_BYTES:,} bytes: no YAML file of this project is that large, so check the "
                "path"
            )
        text = content.decode("utf-8-sig")  # DVC skips a byte order mark, too
    except (OSError, ValueError) as error:
        raise ParamsError(f"cannot read {path}: {error}") from error
    return parse_yaml(text, where=str(path))


def parse_yaml(text: str, *, where: str) -> dict[str, Any]:
    """Read a mapping from YAML text. Errors name its source, `where`.

    Raises:
        ParamsError: as `read_yaml`.
    """
    try:
        content = loads(text)
    except StrictYAMLError as error:
        place = f", line {error.line}, column {error.column}" if error.line else ""
        raise ParamsError(f"{where}{place}: not valid YAML: {error.problem}") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ParamsError(f"{where}: expected a mapping of names to values, found {found}")
    return content


def describe(schema: type[Section], error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each mistake: the path of the value, the value, the allowed values, the nearest valid name."""
    return [_mistake(schema, problem, prefix) for problem in error.errors(include_url=False)]


def _mistake(schema: type[Section], problem: Any, prefix: str) -> str:
    path, shown = _joined(prefix, *problem["loc"]), in_yaml(problem["input"])
    *above, name = problem["loc"] or [""]
    inner = _schema_at(schema, above)
    field = inner.model_fields.get(str(name))
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{path} = {shown}: unknown name; {_nearest(str(name), inner, _joined(prefix, *above))}"
    if kind == "invalid_key":
        return f"{_joined(prefix, shown)}: a name must be a string; valid: {', '.join(schema.model_fields)}"
    if kind == "missing":
        return f"{path} is missing" + (f": {field.description}" if field and field.description else "")
    if kind == "value_error":  # from a validator of this project, with a complete message
        # null is wrong only in combination with other fields.
        subject = prefix if not problem["loc"] or problem["input"] is None else f"{path} = {shown}"
        subject = path if isinstance(problem["input"], dict) and problem["loc"] else subject  # it is long
        return ": ".join(filter(None, [subject, str(problem["ctx"]["error"])]))
    if kind == "string_pattern_mismatch" and field and (form := form_of(field.json_schema_extra)):
        return f"{path} = {shown}: must be {form}"
    allowed = re.sub(r"^\w+ should ", "must ", problem["msg"]).replace(" after validation", "")
    allowed = allowed.replace("a valid ", "a ").replace("a integer", "an integer")
    if field and type(None) in get_args(field.annotation):
        allowed += ", or null"
    return f"{path} = {shown}: {allowed}"


def in_words(form: str) -> dict[str, Any]:
    """The extra of a field with a pattern: what it allows, for messages and documentation."""
    return {"form": form}


def form_of(extra: Any) -> str:
    """What `in_words` says of a field, by its extra or its JSON schema; or an empty text."""
    return extra.get("form", "") if isinstance(extra, dict) else ""


def _schema_at(schema: type[Section], path: Sequence[Any]) -> type[Section]:
    """The schema of the section at a path within a section; a dictionary of sections has names of its own."""
    for name in path:
        annotation = schema.model_fields[name].annotation if name in schema.model_fields else None
        inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        schema = next((kind for kind in inner if issubclass(kind, Section)), schema)
    return schema


def _nearest(name: str, schema: type[Section], prefix: str) -> str:
    """A hint for an unknown name: its new name if it was renamed, else the most similar valid name."""
    valid = list(schema.model_fields)
    near = schema.renamed.get(name) or next(iter(difflib.get_close_matches(name, valid, n=1, cutoff=0.5)), None)
    return f"did you mean {_joined(prefix, near)}?" if near else f"valid: {', '.join(valid)}"


def _joined(*parts: Any) -> str:
    name = ".".join(map(str, parts)).strip(".")
    return name if name.isprintable() and len(name) <= MAX_SHOWN else in_yaml(name)


def in_yaml(value: Any) -> str:
    """A value as people write it in YAML, shortened if it is long. Only true, false and null differ from Python."""
    text = repr(value)
    text = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
    return {"True": "true", "False": "false", "None": "null"}.get(text, text)


def parse(schema: type[SectionT], content: Any, *, where: Path) -> SectionT:
    """Check one mapping against its schema.

    Raises:
        ParamsError: the mapping has mistakes; the message has a line for each.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ParamsError(mistakes_message(where, describe(schema, error))) from None


def schemas() -> dict[str, type[Section]]:
    """The schema of each section, in the order of `SECTIONS`."""
    found = {}
    for name, target in SECTIONS.items():
        module, _, attribute = target.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    return found


def load(path: Path, *names: str) -> Any:
    """Check all of `params.yaml` and return the named sections.

    Args:
        path: the file.
        names: sections to return, from `SECTIONS`; without names, all are returned.

    Returns:
        One named section, a tuple of several in the order of `names`, or a dict of all by name.

    Raises:
        ParamsError: any section has mistakes; the message lists all of them.
    """
    sections = check(read_yaml(path), where=path)
    if not names:
        return sections
    return sections[names[0]] if len(names) == 1 else tuple(sections[name] for name in names)


def check(content: dict[str, Any], *, where: Path, besides: Iterable[str] = ()) -> dict[str, Any]:
    """Check a whole set of parameters, and return its sections by name.

    Args:
        content: the sections.
        where: what errors call it.
        besides: other mistakes, which the message lists if there are some here.

    Raises:
        ParamsError: it has mistakes; the message lists all of them.
    """
    mistakes, sections = [], {}
    for name in content:
        if name not in SECTIONS:
            near = difflib.get_close_matches(str(name), SECTIONS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(SECTIONS)}"
            mistakes.append(f"{_joined(name) if isinstance(name, str) else in_yaml(name)}: unknown section; {hint}")
    for name, schema in schemas().items():
        if name not in content:
            mistakes.append(f"{name}: the section is missing; it has: {', '.join(schema.model_fields)}")
        elif not isinstance(content[name], dict):
            mistakes.append(f"{name} = {in_yaml(content[name])}: must be a mapping of names to values")
        else:
            try:
                sections[name] = schema.model_validate(content[name])
            except ValidationError as error:
                mistakes += describe(schema, error, prefix=name)
    if mistakes:
        raise ParamsError(mistakes_message(where, [*mistakes, *besides]))
    return sections


def flatten(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn `{"a": {"b": 1}}` into `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def mistakes_message(where: Path | str, mistakes: list[str]) -> str:
    """The message about the mistakes in a file: their number, and a line for each."""
    count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
    return "\n  ".join([f"{where} has {count}:", *mistakes])
