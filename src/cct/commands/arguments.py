"""Arguments that several commands take, and their types."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cct.repository import repository_root

if TYPE_CHECKING:
    from cct.inference.classifier import Classifier

BROKEN = 3  # the exit code where a file could not be used


def whole_number(most: int) -> Callable[[str], int]:
    """The type of a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to {most:,}")
        return int(text)

    return parse


def file_path(text: str) -> Path:
    """A file, relative to the user's folder. Commands run in the repository root; paths in it become relative to it."""
    path, root = Path(non_empty(text)).absolute(), repository_root()
    plain = Path(os.path.normpath(path))  # without "..", which may leave a folder that is a link
    if os.path.realpath(plain) == os.path.realpath(path):
        path = plain
    return path.relative_to(root) if path.is_relative_to(root) else path


def _number(text: str) -> float:
    """The number in a text, or NaN, which no bound allows."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def tolerance(text: str) -> float:
    """A finite number, 0 or more."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number, 0 or more")
    return value


def probability(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to 1")
    return value


def coverage(text: str) -> float:
    """A whole percent: 0.01, 0.02, ... 0.99."""
    from cct.evaluation.conformal import percent_of

    try:
        return percent_of(_number(text)) / 100
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole percent: 0.01, 0.02, ... 0.99") from None


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the size of a model's input and output."""
    parser.add_argument("--classes", type=whole_number(1_000_000), default=10, help="default: 10")
    parser.add_argument(
        "--image",
        type=whole_number(4096),
        nargs=3,
        default=(32, 32, 3),
        metavar=("H", "W", "C"),
        help="default: 32 32 3",
    )


def add_set_param(parser: argparse.ArgumentParser) -> None:
    """Add changes of parameters, as `dvc exp run` takes them."""
    parser.add_argument(
        "-S", "--set-param", metavar="NAME=VALUE", action="append", default=[],
        help="as in dvc exp run: train.epochs=60",
    )  # fmt: skip


def non_empty(text: str) -> str:
    """A text with a character. A variable of the shell that is not set gives an empty one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: is a variable of the shell not set?")
    return text


def add_run_id(parser: argparse.ArgumentParser) -> None:
    """Add the identifier of a run in MLflow."""
    parser.add_argument("id", metavar="RUN_ID", type=non_empty, help="as the MLflow UI shows it")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add what a trained model predicts: images or texts."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", type=non_empty,
        help="images: files, folders, zip or tar archives, quoted patterns, or - for one image on standard input; "
        "texts: the texts, text files, folders, archives or quoted patterns of them, tables with a column of texts, or "
        "- for a text on each line of standard input",
    )  # fmt: skip


def add_model(parser: argparse.ArgumentParser, *, exported: bool = True) -> None:
    """Add the choice of a trained model, which may be an exported file."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=non_empty, metavar="MODEL",
        help=f"a .keras file, {'one that cct export made of it, ' if exported else ''}models:/NAME@champion or "
        "runs:/RUN_ID/model (default: models/model.keras)",
    )  # fmt: skip
    which.add_argument("--run", type=non_empty, metavar="RUN_ID", help="the model of a run, as the MLflow UI shows it")


def load_classifier(arguments: argparse.Namespace) -> "Classifier":
    """Load the model of the arguments that `add_model` added.

    Raises:
        CCTError: there is no such model.
    """
    from cct import load

    return load(model_name(arguments))


def model_name(arguments: argparse.Namespace) -> str:
    """The path or address of the model of the arguments that `add_model` added.

    Raises:
        CCTError: MLflow has no such run, or the run has no model.
    """
    from cct.paths import MODEL

    if not arguments.run:
        return arguments.model or str(repository_root() / MODEL)
    from cct.repository import require_repository
    from cct.tracking.model_files import model_of_run

    require_repository()
    address, _ = model_of_run(arguments.run)
    return address
