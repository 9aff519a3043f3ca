"""The error that a user can fix."""

import re

COLOURS = re.compile(r"\x1b\[[\d;]*m")  # of a terminal, which Keras puts into its errors


class CCTError(Exception):
    """A mistake outside the code (a parameter, a file, the network). Its message is all that the user needs."""


def one_line(error: BaseException) -> str:
    """The text of a library's error as one printable line of at most 200 characters."""
    text = " ".join(COLOURS.sub("", str(error)).split())[:200]
    return text if text.isprintable() and text else type(error).__name__
