"""The errors that are the user's to mend, and how a command ends with one."""

import functools
import sys
from collections.abc import Callable


class CCTError(Exception):
    """A mistake outside the code (a parameter, a file, the network): its message is all the user needs to see."""


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap an entry point: a `CCTError` becomes its message on stderr and exit code 1, Ctrl-C becomes 130."""

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        try:
            return main(*args, **kwargs) or 0
        except CCTError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapper
