"""The errors that are the user's to mend, and how a command ends with one."""

import functools
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path


class CCTError(Exception):
    """A mistake outside the code (a parameter, a file, the network): its message is all the user needs to see."""


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap an entry point: an error of the user's becomes its message on stderr and exit code 1.

    Files that cannot be read or written are such errors too. Ctrl-C and SIGTERM end with 130.
    """

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return main(*args, **kwargs) or 0
        except (CCTError, OSError) as error:
            print(f"error: {redact(str(error))}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapper


def writable(*folders: Path) -> None:
    """Make folders, and find out now, not after hours of work, that nothing can be written there.

    Raises:
        CCTError: the first that cannot be made or written.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise CCTError(f"cannot write into {folder}/: {error.strerror}") from error


def redact(text: str) -> str:
    """Without the user and password of any URL, one whose password wrongly has a bare "/" or "#" included."""
    return re.sub(r"(?<=://)(?:[^/\s]*|[^/:@\s]*:(?!\d+(?:[/?#\s]|$))\S*)@", "***@", text)
