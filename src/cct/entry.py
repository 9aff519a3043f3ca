"""The start and the end of every command: logging, signals, error messages, exit codes."""

import contextlib
import errno
import functools
import io
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from cct.errors import CCTError
from cct.log import configure_logging, debugging

log = logging.getLogger(__name__)
signals: list[int] = []  # that asked this process to end


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if a signal came. Python drops an exception in a callback, such as SQLAlchemy's."""
    if signals:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: Any) -> None:
    signals.append(number)
    raise KeyboardInterrupt


def entry_point(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command with logging, signal handling and error messages.

    A user's error, or a file that cannot be read or written, prints its message on stderr and exits with code 1.
    Ctrl-C, SIGTERM and a closed terminal exit with code 130. CCT_DEBUG=1 (`--debug`) adds the traceback to a message.
    """

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        signals.clear()
        signal.signal(signal.SIGTERM, _interrupt)
        for number in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and & ignore one
                signal.signal(number, _interrupt)
        for name in ("stdout", "stderr"):
            if not _takes_output(getattr(sys, name)):
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        # Each line reaches a redirected log at once. Letters that its encoding lacks are escaped.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        try:
            try:
                configure_logging()
                return main(*args, **kwargs) or 0
            except Exception:
                raise_if_interrupted()  # compiled code turned it into an error of its own
                raise
        except BrokenPipeError:  # `cct models | head`: nobody reads the rest
            return 1
        except (CCTError, OSError) as error:
            log.error("%s", error, exc_info=debugging())
            return 1
        except EOFError as error:
            if "marshal" not in str(error):
                raise
            _remove_compiled_files()
            log.error(
                "a full disk damaged compiled Python files. They are removed: free space and run the command again"
            )
            return 1
        except KeyboardInterrupt as error:
            with contextlib.suppress(OSError):  # the terminal was closed
                print(f"interrupted {error}".strip(), file=sys.stderr)
            return 130
        finally:
            _drop_unwritten()

    return wrapper


def _drop_unwritten() -> None:
    """Drop output that stdout does not take, or else Python fails at its end, and a finished stage with it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _takes_output(stream: TextIO | None) -> bool:
    """Whether a stream can be written. Where a caller closed it, it is None, or a file that DVC opened to read."""
    if stream is None:
        return False
    try:
        os.write(stream.fileno(), b"")
    except io.UnsupportedOperation:  # it has no file, as in tests
        return True
    except OSError as error:
        return error.errno != errno.EBADF  # a full disk is an error of what is written, and must be heard
    return True


def _remove_compiled_files() -> None:
    """Remove this package's compiled Python files. A full disk leaves one incomplete."""
    for folder in Path(__file__).parent.rglob("__pycache__"):
        shutil.rmtree(folder, ignore_errors=True)
