"""Reading `params.yaml`: every key and value checked, every error reported at once.

Each section has its schema beside the code that uses it, so that a new option of one stage is not a change of another.
`load` checks the whole file whichever stage calls it, because a typo in `plot` must be found before a night of `train`.
"""

import difflib
import importlib
import json
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from cct.errors import CCTError

# Names, not imports: a stage depends on the schemas it reads, and DVC is told so. The others can only refuse a file,
# never change a result, so they are looked up when a file is checked and are no dependency of the stage.
SECTIONS = {
    "data": "cct.data.sources:DataParams",
    "preprocess": "cct.data.splits:PreprocessParams",
    "model": "cct.models.architectures:ModelParams",
    "augment": "cct.augment.params:AugmentParams",
    "train": "cct.training.params:TrainParams",
    "runtime": "cct.runtime.params:RuntimeParams",
    "evaluate": "cct.evaluation.metrics:EvaluateParams",
    "plot": "cct.evaluation.figures.params:PlotParams",
}
SectionT = TypeVar("SectionT", bound="Section")


class ParamsError(CCTError):
    """`params.yaml`, or another YAML file that people write, is not what it must be."""


class Section(BaseModel):
    """Base of every schema: unknown keys are errors, values are not converted, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping (so `1e-3` is a number) with the parser that DVC itself uses.

    Raises:
        ParamsError: the file is absent, unreadable, not YAML, has a key twice, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"cannot read {path}: {error}") from error
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0]
        raise ParamsError(f"{path}{place}: not valid YAML: {problem}") from error
    except Exception as error:  # of int(), date() and others: 2026-02-30, control characters, endless nesting
        problem = [*str(error).splitlines(), type(error).__name__][0]
        raise ParamsError(f"{path}: not valid YAML: {problem}") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ParamsError(f"{path}: expected a mapping of names to values, found {found}")
    return content


def describe(schema: type[BaseModel], content: Any, error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each mistake: the path of the value, the value, what is allowed, the nearest valid name."""
    lines = []
    valid = list(schema.model_fields)
    for problem in error.errors(include_url=False):
        path = ".".join([prefix, *map(str, problem["loc"])]).strip(".")
        shown = _yaml(problem["input"])
        field = schema.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), valid, n=1, cutoff=0.5)
            hint = f"did you mean {'.'.join([prefix, near[0]]).strip('.')}?" if near else f"valid: {', '.join(valid)}"
            lines.append(f"{path} = {shown}: unknown name; {hint}")
        elif problem["type"] == "invalid_key":
            lines.append(f"{'.'.join([prefix, shown]).strip('.')}: a name must be a string; valid: {', '.join(valid)}")
        elif problem["type"] == "missing":
            lines.append(f"{path} is missing" + (f": {field.description}" if field and field.description else ""))
        elif problem["type"] == "value_error":  # raised by a validator of ours: the message says it all
            # null is no mistake by itself: it is what the other fields make of it.
            subject = prefix if not problem["loc"] or problem["input"] is None else f"{path} = {shown}"
            lines.append(": ".join(filter(None, [subject, str(problem["ctx"]["error"])])))
        else:
            allowed = re.sub(r"^\w+ should ", "must ", problem["msg"]).replace(" after validation", "")
            allowed = allowed.replace("a valid ", "a ").replace("a integer", "an integer")
            if field and type(None) in get_args(field.annotation):
                allowed += ", or null"
            if problem["type"] == "string_pattern_mismatch" and field:
                allowed += f" ({field.description})"
            lines.append(f"{path} = {shown}: {allowed}")
    return lines


def _yaml(value: Any) -> str:
    """A value as people write it: Python's form, but for three words."""
    return {"True": "true", "False": "false", "None": "null"}.get(repr(value), repr(value))


def parse(schema: type[SectionT], content: Any, *, where: Path) -> SectionT:
    """Check one mapping against its schema.

    Raises:
        ParamsError: with a line for every mistake.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ParamsError(_report(where, describe(schema, content, error))) from None


def load(path: Path, *names: str) -> Any:
    """Check all of `params.yaml` and return the named sections.

    Args:
        path: the file.
        names: sections to return, of `SECTIONS`; none returns all.

    Returns:
        The sections in the order of `names`, a tuple unless there is just one; all as a dict by name if none is named.

    Raises:
        ParamsError: with every mistake in the file, not only in the named sections.
    """
    content = read_yaml(path)
    mistakes, sections = [], {}
    for name in content:
        if name not in SECTIONS:
            near = difflib.get_close_matches(str(name), SECTIONS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(SECTIONS)}"
            mistakes.append(f"{name if isinstance(name, str) else _yaml(name)}: unknown section; {hint}")
    for name, target in SECTIONS.items():
        module, _, attribute = target.partition(":")
        schema = getattr(importlib.import_module(module), attribute)
        if name not in content:
            mistakes.append(f"{name}: the section is missing; it has: {', '.join(schema.model_fields)}")
            continue
        if not isinstance(content[name], dict):
            mistakes.append(f"{name} = {_yaml(content[name])}: must be a mapping of names to values")
            continue
        try:
            sections[name] = schema.model_validate(content[name])
        except ValidationError as error:
            mistakes += describe(schema, content[name], error, prefix=name)
    if mistakes:
        raise ParamsError(_report(path, mistakes))
    if not names:
        return sections
    return sections[names[0]] if len(names) == 1 else tuple(sections[name] for name in names)


def flatten(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def arguments(flat: dict[str, Any]) -> list[str]:
    """Parameters by their full names as arguments of `dvc exp run`: -S, `train.epochs=30`, and so on."""
    return [word for key, value in flat.items() for word in ("-S", f"{key}={_written(value)}")]


def _written(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _report(where: Path, mistakes: list[str]) -> str:
    count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
    return "\n  ".join([f"{where} has {count}:", *mistakes])
