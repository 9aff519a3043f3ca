"""Settings of the shell, `-S train.epochs=3`, and parameters with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cct.params import ParamsError, read_yaml
from cct.strict_yaml import StrictYAMLError, loads


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The values of settings by the full names of the parameters. The last of equal names counts.

    Raises:
        ParamsError: one is none.
    """
    flat = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (equals and "." in name):
            raise ParamsError(f"-S {setting}: expected section.name=value, as in train.epochs=3")
        try:
            flat[name] = loads(text)
            if flat[name] is None and text.lstrip().startswith("#"):
                raise StrictYAMLError("it is a comment, because it begins with #: put it in quotes")
        except StrictYAMLError as error:
            raise ParamsError(f"-S {setting}: {text!r} is not a YAML value: {error.problem}") from error
    return flat


def merged(content: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """A set of parameters with new values from `flat`, whose keys are full names."""
    found = {section: dict(fields) if isinstance(fields, dict) else fields for section, fields in content.items()}
    for path, value in flat.items():
        section, _, field = path.partition(".")
        if isinstance(found.setdefault(section, {}), dict):  # other sections are refused as they are
            found[section][field] = value
    return found


def read_with_settings(path: Path, settings: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """The content of a parameter file with settings, unchecked, and what errors call it.

    Raises:
        ParamsError: the file cannot be read, or a setting is none.
    """
    content = merged(read_yaml(path), read_settings(settings))
    return content, Path(f"{path} with -S") if settings else path
