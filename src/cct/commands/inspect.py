"""Look at a data source before training: classes, sizes, problems, duplicates, and the command that trains on it."""

import argparse
import json
import logging
import re
from pathlib import Path
from typing import Any

from cct import params
from cct.commands.arguments import add_set_param, file_path
from cct.experiments.settings import read_settings, read_with_settings
from cct.files import require_writable, write_atomically
from cct.log import ROOT
from cct.paths import PARAMS
from cct.repository import repository_root

SHEET, PAGE = "inspect.png", "inspect.html"


def image_size(text: str) -> tuple[int, int]:
    """A side, or height x width, in pixels: 64 or 48x64."""
    from cct.data.params import MAX_SIZE, MIN_SIZE

    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text, re.ASCII)
    size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(MIN_SIZE <= side <= MAX_SIZE for side in size):
        raise argparse.ArgumentTypeError(f"{text!r} is not a side or HEIGHTxWIDTH from {MIN_SIZE} to {MAX_SIZE} pixels")
    return size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Ends with 0 if the stage preprocess would accept all images or texts with the parameters in params.yaml and "
        "of -S, and with 1 otherwise; the last line says what to do. Model and augmentation are not looked at: cct "
        "check -S data.source=SOURCE does that."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=file_path,
        help="a folder, zip, tar or table of images or texts, or a descriptor",
    )
    add_set_param(parser)
    parser.add_argument("--class-folder", choices=("top", "leaf"), help="which of nested folders is the class")
    parser.add_argument("--image-size", type=image_size, metavar="SIZE", help="64 or 48x64; default: a suggestion")
    parser.add_argument(
        "--output", metavar="FOLDER", type=file_path, default=Path("reports"),
        help=f"where {PAGE} and {SHEET} go (default: reports)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the facts as JSON, and nothing else")


def main(arguments: argparse.Namespace) -> int:
    from cct.data.kinds import IMAGES, TEXTS, source_task
    from cct.data.sources import open_source

    if arguments.json:
        logging.getLogger(ROOT).setLevel(logging.WARNING)  # other lines go to stdout too
    content, where = read_with_settings(PARAMS, arguments.set_param)
    preprocess = params.check(content, where=where)["preprocess"]
    require_writable(arguments.output)
    inspectors = {IMAGES: _inspect_images, TEXTS: _inspect_texts}
    return inspectors[source_task(open_source(arguments.source), preprocess)](arguments, preprocess)


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the data, for the suggested command: others may be those of another preset."""
    return {name: value for name, value in read_settings(arguments.set_param).items() if name.startswith("preprocess.")}


def _size(value: Any) -> tuple[int, int] | None:
    """Height and width of a checked `preprocess.image_size`."""
    return (value, value) if isinstance(value, int) else value and tuple(value)


def _inspect_images(arguments: argparse.Namespace, preprocess: Any) -> int:
    from cct.evaluation.figures.style import save_figure
    from cct.inspection.examine import examine
    from cct.inspection.page import as_html
    from cct.inspection.report import make_report, printable
    from cct.inspection.sheet import plot_contact_sheet
    from cct.inspection.text import as_text

    examined = examine(
        arguments.source, preprocess, class_folder=arguments.class_folder, folder=repository_root() / ".cct"
    )
    settings = _settings(arguments)
    size = arguments.image_size or _size(settings.get("preprocess.image_size"))
    report = make_report(examined, preprocess, image_size=size, settings=settings)
    page, sheet = arguments.output / PAGE, arguments.output / SHEET
    write_atomically(page, as_html(report).encode())
    save_figure(plot_contact_sheet(report), sheet, dpi=100)
    facts = report.facts | {"files": [printable(str(path)) for path in (page, sheet)]}
    print(json.dumps(facts, indent=2) if arguments.json else as_text(facts))
    return 0 if report.ready else 1


def _inspect_texts(arguments: argparse.Namespace, preprocess: Any) -> int:
    from cct.data.sources import open_source
    from cct.inspection.report import printable
    from cct.inspection.text_report import text_lines, text_page
    from cct.inspection.texts import inspect_texts

    settings = _settings(arguments)
    if arguments.class_folder:
        preprocess = preprocess.model_copy(update={"class_folder": arguments.class_folder})
        settings |= {"preprocess.class_folder": arguments.class_folder}
    facts = inspect_texts(arguments.source, open_source(arguments.source), preprocess, settings=settings)
    page = arguments.output / PAGE
    write_atomically(page, text_page(facts).encode())
    facts |= {"files": [printable(str(page))]}
    print(json.dumps(facts, indent=2) if arguments.json else text_lines(facts))
    return 0 if facts["ready"] else 1
