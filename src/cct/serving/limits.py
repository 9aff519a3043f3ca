"""Limits of a request and of the server."""

import re
from typing import Annotated, NamedTuple, get_type_hints

from cct.errors import CCTError


class Limit(NamedTuple):
    """A limit: its default, its largest value, and its meaning."""

    default: int
    most: int
    meaning: str


class Limits(NamedTuple):
    """The values of all limits. `--limit NAME=VALUE` sets one, and the page docs/serve.md lists them."""

    body_bytes: Annotated[int, Limit(32 << 20, 1 << 30, "bytes of a request's body")]
    inputs: Annotated[int, Limit(128, 4096, "images or texts of a request")]
    pixels: Annotated[int, Limit(1 << 26, 1 << 27, "pixels of an image, before it is resized")]
    letters: Annotated[int, Limit(1 << 20, 1 << 24, "letters of a text")]
    json_items: Annotated[int, Limit(3 << 20, 1 << 28, "commas, brackets and braces of a JSON body")]
    head_seconds: Annotated[int, Limit(10, 3600, "seconds to send a request's headers")]
    body_seconds: Annotated[int, Limit(30, 3600, "seconds to send a request's body")]
    answer_seconds: Annotated[int, Limit(30, 3600, "seconds to read the inputs and to compute the answer")]
    write_seconds: Annotated[int, Limit(30, 3600, "seconds until the client has taken the answer")]
    requests: Annotated[int, Limit(64, 4096, "requests for predictions that are read, wait or are computed at a time")]
    queue: Annotated[int, Limit(512, 1 << 20, "inputs that wait for the model")]
    connections: Annotated[int, Limit(512, 1 << 16, "open connections")]


LIMITS: dict[str, Limit] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Limits, include_extras=True).items()
}


def parse_limits(settings: list[str]) -> Limits:
    """The limits, with changes such as "body_seconds=5".

    Raises:
        CCTError: a setting has an unknown name, or a value that is not allowed.
    """
    values = {name: limit.default for name, limit in LIMITS.items()}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in LIMITS:
            raise CCTError(f"--limit {setting}: unknown name; valid: {', '.join(LIMITS)}")
        if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= LIMITS[name].most:
            raise CCTError(f"--limit {setting}: must be {name}=N with a whole number from 1 to {LIMITS[name].most:,}")
        values[name] = int(text)
    return Limits(**values)
