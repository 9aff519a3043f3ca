"""Parameters as arguments of `dvc exp run`, which reads them with Hydra's override grammar."""

import json
import re
from collections.abc import Mapping
from typing import Any

# Hydra takes other values for expressions, numbers or syntax errors.
PLAIN_VALUE = re.compile(r"/?[A-Za-z_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*", re.ASCII)
WORDS_OF_HYDRA = ("true", "false", "null", "nan", "inf")


def arguments(flat: Mapping[str, Any]) -> list[str]:
    """Parameters by their full names as arguments of `dvc exp run`: -S, `train.epochs=30`, and so on."""
    return [word for name, value in flat.items() for word in ("-S", hydra_word(name, value))]


def hydra_word(name: str, value: Any) -> str:
    """A parameter and its value as Hydra's override grammar has them."""
    # Without spaces, because a shell splits the output of $(cct preset ...) at them.
    return f"{name}={hydra_text(value) if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"


def hydra_text(text: str) -> str:
    """A text as Hydra's override grammar has it: plain, or in double quotes."""
    if PLAIN_VALUE.fullmatch(text) and text.lower() not in WORDS_OF_HYDRA:
        return text
    # A backslash counts only before a quote, and "${" would name another parameter.
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + (found[2] and '\\"'), text.replace("${", r"\${"))
    return f'"{escaped}"'
