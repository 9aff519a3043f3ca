"""How a command begins and ends: logging, signals, errors as messages, exit codes."""

import functools
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cct.errors import CCTError
from cct.log import configure_logging, debugging

log = logging.getLogger(__name__)


def entry_point(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command: it logs, and a user's error becomes its message on stderr and exit code 1.

    Files that cannot be read or written are such errors too. Ctrl-C, SIGTERM and a closed terminal end with 130. With
    CCT_DEBUG=1 (`--debug`) a message comes with its traceback.
    """

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by the caller
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        # Each line of progress reaches a log file at once, whatever letters the file's encoding lacks.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        try:
            configure_logging()
            return main(*args, **kwargs) or 0
        except BrokenPipeError:  # `cct models | head`: nobody reads the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
            print(f"interrupted {error}".strip(), file=sys.stderr)
            return 130

    return wrapper


def _remove_compiled_files() -> None:
    """Remove what Python compiled of this package. A full disk leaves one incomplete."""
    for folder in Path(__file__).parent.rglob("__pycache__"):
        shutil.rmtree(folder, ignore_errors=True)
