"""Put a trained model into pretrained/, to fine-tune it with train.init_from.

The file's name ends in its content's sha256, and DVC stores it. So a training starts from the same weights in every
clone and temporary folder, whatever becomes of the run, the alias or the file that it came from.
"""

import argparse
import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from cct import overrides
from cct.commands.arguments import file_path, non_empty
from cct.dvc import run_dvc
from cct.errors import CCTError
from cct.files import sha256_of_file, write_atomically
from cct.models.metadata import read_metadata
from cct.models.starting import FOLDER, stored_model
from cct.params import load
from cct.paths import PARAMS
from cct.repository import git, repository_root
from cct.tracking.model_files import SCHEMES, model_file, model_of_run

SHOWN = 8  # digits of the sha256 in a file's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", type=_model,
        help="a .keras file; the identifier of a run, as the MLflow UI shows it; models:/NAME@champion; or "
        "runs:/RUN_ID/model",
    )  # fmt: skip
    parser.add_argument("--name", type=non_empty, help="name in pretrained/ (default: the name of the run or the data)")


def _model(text: str) -> Path | str:
    """A file, an address in MLflow, or else a run, whose identifier has digits from 0 to f."""
    if not non_empty(text).startswith(SCHEMES) and "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is an address: download the model, and give its path")
    if not text.startswith(SCHEMES) and (text.endswith(".keras") or Path(text).exists()):
        return file_path(text)
    if not text.startswith(SCHEMES) and not re.fullmatch("[0-9a-f]+", text):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no file, no address in MLflow, and no identifier of a run")
    return text


def main(arguments: argparse.Namespace) -> None:
    present = load(PARAMS, "model").model_dump()
    with _opened(arguments.model) as (path, origin):
        facts, stored, sha256 = read_metadata(path), stored_model(path), sha256_of_file(path)
        data = facts.get("data")
        name = arguments.name or origin or (data.get("name") if isinstance(data, dict) else None) or path.stem
        target = _copy(path, FOLDER / f"{_plain(name)}-{sha256[:SHOWN]}.keras")
    run_dvc("add", "--quiet", str(target))
    pointer = f"{target}.dvc"
    git(repository_root(), "add", "--", pointer, str(FOLDER / ".gitignore"))
    if not git(repository_root(), "ls-files", "--", pointer):
        raise CCTError(f"git cannot add {pointer}, so experiments would not have {target}: see git status")
    shape, section = "x".join(map(str, stored.input_shape)), stored.section_after(present)
    settings = {f"model.{field}": value for field, value in section.items()}
    if isinstance(given := facts.get("input"), dict):  # how the texts of the new training have to become numbers
        settings |= {f"preprocess.{name}": given[name] for name in ("tokens", "max_length") if name in given}
    settings["train.init_from"] = str(target)
    changed = any(value is not None for field, value in section.items() if field != "name")
    model = section.get("name", "a model") + " with other fields" * changed
    print(f"{target}: {model} for inputs of {shape}, {stored.classes} classes, sha256 {sha256}")
    print(f"train: dvc exp run {shlex.join(overrides.arguments(settings))}")


@contextlib.contextmanager
def _opened(model: Path | str) -> Iterator[tuple[Path, str | None]]:
    """The file of a model while the context lasts, and the name of its run or of its registered model.

    Raises:
        CCTError: there is no such run, or MLflow does not have its model.
    """
    if isinstance(model, Path):
        yield model, None
        return
    address, name = (model, _registered_name(model)) if model.startswith(SCHEMES) else model_of_run(model)
    with model_file(address) as path:
        yield path, name


def _registered_name(address: str) -> str | None:
    found = re.fullmatch(r"models:/([^/@]+)[/@].*", address)
    return found and found[1]


def _plain(name: str) -> str:
    """A name in the characters that a file in a command needs no quotes for."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:60] or "model"


def _copy(path: Path, target: Path) -> Path:
    """Copy a file, unless it is there already.

    Raises:
        CCTError: another file has the name.
    """
    if target.is_file() and sha256_of_file(target) == sha256_of_file(path):
        return target
    if target.exists():
        raise CCTError(f"{target} is there with another content: remove it, or give another --name")
    write_atomically(target, memoryview(path.read_bytes()))
    return target
