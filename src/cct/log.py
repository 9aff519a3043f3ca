"""Logging: progress to stdout, warnings and errors to stderr, everything with the time of day to a run's log file.

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
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all except tab and line feed
# URL parameters that are secret. `viewStateShareKey` is not: it names a view of the MLflow UI.
SECRET = re.compile(
    r"(?i)([?&;#](?!viewStateShareKey=)[^=&;?#\s]*(?:token|secret|pass|pwd|key|credential|sig|auth|jwt|x-amz-)"
    r"[^=&;?#\s]*=)['\"]?[^&;\s#'\"]*"
)
ROOT = "cct"  # the parent of all loggers of this package


class LogLevelError(CCTError):
    """CCT_LOG_LEVEL is not the name of a level."""


class Redacted(logging.Formatter):
    """Formats a record. Secrets in URLs are removed, and control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record))
        return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class Console(logging.Handler):
    """Prints info to stdout unchanged, and other levels to stderr with a prefix such as "warning: ".

    The streams are looked up at each use. A terminal that was closed, or a full disk, loses the line and ends no run.
    """

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        plain = record.levelno == logging.INFO
        with contextlib.suppress(OSError):
            print(text if plain else f"{record.levelname.lower()}: {text}", file=sys.stdout if plain else sys.stderr)


class RunLog(logging.FileHandler):
    """A log file that the first record opens. Its failures are ignored: a full disk does not end a run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(Redacted("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore it."""


def configure_logging() -> None:
    """Send this package's log records to the console, from the level in CCT_LOG_LEVEL, or else "info".

    Raises:
        LogLevelError: CCT_LOG_LEVEL is not the name of a level.
    """
    level = os.environ.get(VARIABLE) or "info"
    logger = logging.getLogger(ROOT)
    if not any(isinstance(handler, Console) for handler in logger.handlers):
        console = Console()
        console.setFormatter(Redacted("%(message)s"))
        logger.addHandler(console)
    if level.lower() not in LEVELS:  # after the handler, which shows this error
        raise LogLevelError(f"{VARIABLE} = {level!r}: must be one of {', '.join(LEVELS)}")
    logger.setLevel(LEVELS[level.lower()])


def log_to_file(folder: Path, name: str) -> Path:
    """Also write all later records to `<folder>/<name>.log`; runs with one name share a file. Returns its path."""
    path = folder / f"{name.replace('/', '-')}.log"
    logging.getLogger(ROOT).addHandler(RunLog(path))
    return path


def debugging() -> bool:
    """Whether errors show their traceback."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def redact(text: str) -> str:
    """The text without the user, the password and the tokens of any URL.

    A password is also found if it wrongly has an unescaped "/" or "#".
    """
    text = re.sub(r"(?:(?<=://)|(?<=http:/)|(?<=https:/))(?:[^/\s]*|[^/:@\s]*:(?!\d+(?:[/?#\s]|$))\S*)@", "***@", text)
    return SECRET.sub(r"\1***", text)
