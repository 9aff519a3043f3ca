"""The errors that are the user's to mend, and how a command ends with one."""

import functools
import re
import signal
import sys
from collections.abc import Callable


class CCTError(Exception):
    """A mistake outside the code (a parameter, a file, the network): its message is all the user needs to see."""


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap an entry point: an error of the user's becomes its message on stderr and exit code 1.

    Files that cannot be read or written are such errors too. Ctrl-C and SIGTERM end with 130.
    """

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        sys.stdout.reconfigure(line_buffering=True)  # progress in a log file, too, as it is made
        try:
            return main(*args, **kwargs) or 0
        except (CCTError, OSError) as error:
            print(f"error: {redact(str(error))}", file=sys.stderr)
            return 1
        except KeyboardInterrupt as error:
            print(f"interrupted {error}".strip(), file=sys.stderr)
            return 130

    return wrapper


def redact(text: str) -> str:
    """Without the user and password of any URL, one whose password wrongly has a bare "/" or "#" included."""
    return re.sub(r"(?<=://)(?:[^/\s]*|[^/:@\s]*:(?!\d+(?:[/?#\s]|$))\S*)@", "***@", text)
