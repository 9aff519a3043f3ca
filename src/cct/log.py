"""Logging: progress to stdout, warnings and errors to stderr, all of it to a run's log file with the time of day.

The level comes from `-v` or `-q`, or else from the environment variable CCT_LOG_LEVEL. `--debug` or CCT_DEBUG=1 adds
the traceback of an error. A command passes both on to the stages that DVC starts, through these variables.
"""

import contextlib
import logging
import os
import re
import sys
from pathlib import Path

from cct.errors import CCTError

VARIABLE, DEBUG = "CCT_LOG_LEVEL", "CCT_DEBUG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but tabs and ends of lines
# Parameters of a URL that are as good as a password. `viewStateShareKey` names a view of the MLflow UI.
SECRET = re.compile(
    r"(?i)([?&;#](?!viewStateShareKey=)[^=&;?#\s]*(?:token|secret|pass|pwd|key|credential|sig|auth|jwt|x-amz-)"
    r"[^=&;?#\s]*=)['\"]?[^&;\s#'\"]*"
)
ROOT = "cct"  # the logger above all of this package's


class LogLevelError(CCTError):
    """CCT_LOG_LEVEL names no level."""


class Redacted(logging.Formatter):
    """Formats a record without the secrets of any URL in it, and with control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record))
        return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class Console(logging.Handler):
    """Info to stdout as it is; the rest to stderr behind its level: "warning: ...". Streams are looked up when used."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        plain = record.levelno == logging.INFO
        with contextlib.suppress(BrokenPipeError):
            print(text if plain else f"{record.levelname.lower()}: {text}", file=sys.stdout if plain else sys.stderr)


class RunLog(logging.FileHandler):
    """A log file that is opened by its first record, and whose failures cost nothing: a full disk ends no run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(Redacted("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore it."""


def configure_logging(level: str | None = None) -> None:
    """Send this package's log records to the console.

    Args:
        level: a key of `LEVELS`; None takes CCT_LOG_LEVEL, or else "info".

    Raises:
        LogLevelError: CCT_LOG_LEVEL names no level.
    """
    level = level or os.environ.get(VARIABLE) or "info"
    logger = logging.getLogger(ROOT)
    if not any(isinstance(handler, Console) for handler in logger.handlers):
        console = Console()
        console.setFormatter(Redacted("%(message)s"))
        logger.addHandler(console)
    if level.lower() not in LEVELS:  # with a handler, which shows this error as any other
        raise LogLevelError(f"{VARIABLE} = {level!r}: must be one of {', '.join(LEVELS)}")
    logger.setLevel(LEVELS[level.lower()])


def log_to_file(folder: Path, name: str) -> Path:
    """Add all records from now on to `<folder>/<name>.log` too; runs of one name share a file. Returns its path."""
    path = folder / f"{name.replace('/', '-')}.log"
    logging.getLogger(ROOT).addHandler(RunLog(path))
    return path


def debugging() -> bool:
    """Whether errors come with their traceback."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def redact(text: str) -> str:
    """The text without the user, the password and the tokens of any URL.

    A password is found also where it wrongly has a bare "/" or "#".
    """
    text = re.sub(r"(?:(?<=://)|(?<=http:/)|(?<=https:/))(?:[^/\s]*|[^/:@\s]*:(?!\d+(?:[/?#\s]|$))\S*)@", "***@", text)
    return SECRET.sub(r"\1***", text)
