"""Say what images show, with a trained model."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cct.commands.arguments import BROKEN, add_model, coverage, load_classifier, non_empty, probability, whole_number
from cct.errors import CCTError
from cct.log import ROOT

NAME_WIDTH = 60  # characters of a file's name in the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Files that are no images are named on stderr, the others are predicted, and the command ends with "
        f"{BROKEN}. The probabilities are calibrated on the validation split."
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", type=non_empty,
        help="image files, folders, zip or tar archives, quoted patterns, or - for one image on standard input",
    )  # fmt: skip
    add_model(parser)
    parser.add_argument("--top", type=whole_number(1000), default=1, metavar="K", help="show K classes (default: 1)")
    parser.add_argument(
        "--unsure",
        type=probability,
        default=0.5,
        metavar="P",
        help="mark predictions below this probability (default: 0.5)",
    )
    parser.add_argument(
        "--coverage", type=coverage, metavar="P",
        help="also show a set of classes that has the true one for this share of images: 0.95",
    )  # fmt: skip
    shape = parser.add_mutually_exclusive_group()
    for name, text in (
        ("csv", "comma-separated values"),
        ("json", "one JSON list"),
        ("jsonl", "one JSON object a line"),
    ):
        shape.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {text}")
    parser.set_defaults(format="table")


def main(arguments: argparse.Namespace) -> int:
    from cct.inference.files import count_files, list_files

    if arguments.format != "table":
        logging.getLogger(ROOT).setLevel(logging.WARNING)  # other lines go to stdout too
    listed = list_files(arguments.paths)
    classifier, count = load_classifier(arguments), count_files(listed)
    broken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal broken
        for row in predict_files(classifier, listed, count=count, arguments=arguments):
            if "error" in row:
                broken += 1
                print(f"{row['file']}: {row['error']}", file=sys.stderr)
            yield row

    WRITERS[arguments.format](rows(), arguments)
    if broken:
        print(f"{broken} of {count} files could not be used; they are named above", file=sys.stderr)
    return BROKEN if broken else 0


def predict_files(
    classifier: Any, listed: list[tuple[str, list[str] | None]], *, count: int, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """One row per file, in their order and in bounded memory: its name, and what is predicted or an error."""
    import numpy as np
    from tqdm import tqdm

    from cct.inference.files import decode_listed
    from cct.inference.rows import prediction_rows

    if not hasattr(classifier.reader, "options"):
        raise CCTError(f"the model is for {classifier.metadata.task}, not for images")
    with tqdm(total=count, unit=" images", desc="predict", disable=None, delay=1) as bar:
        for decoded in decode_listed(listed, classifier.reader.options):
            good = np.flatnonzero([not error for error in decoded.errors])
            predictions = classifier.predict_arrays(decoded.pixels_nhwc[good])
            answers = prediction_rows(
                predictions, top=arguments.top, unsure=arguments.unsure, coverage=arguments.coverage
            )
            for name, error in zip(decoded.names, decoded.errors, strict=True):
                yield {"file": name} | ({"error": error} if error else next(answers))
            bar.update(len(decoded.names))


def _write_table(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace) -> None:
    for row in rows:
        if "error" not in row:
            name = row["file"] if len(row["file"]) <= NAME_WIDTH else "…" + row["file"][1 - NAME_WIDTH :]
            answers = "  ".join(f"{one['probability']:7.2%} {one['label']}" for one in row["top"])
            classes = f"  {{{', '.join(row['set'])}}}" if "set" in row else ""
            print(f"{name:{NAME_WIDTH}}  {answers}{classes}{'  (unsure)' if row['unsure'] else ''}".rstrip())


def _write_csv(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace) -> None:
    more = [f"{name}_{place}" for place in range(2, arguments.top + 1) for name in ("label", "probability")]
    table = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.coverage:
        more.append("set")
    table.writerow(["file", "label", "probability", "unsure", "error", *more])
    for row in rows:
        if "error" in row:
            table.writerow([row["file"], "", "", "", row["error"]])
        else:
            rest = [value for one in row["top"][1:] for value in one.values()]
            if "set" in row:
                rest += [*[""] * (2 * arguments.top - 2 - len(rest)), json.dumps(row["set"], ensure_ascii=False)]
            table.writerow([row["file"], row["label"], row["probability"], str(row["unsure"]).lower(), "", *rest])


def _write_json(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace) -> None:
    print(json.dumps(list(rows), indent=2, ensure_ascii=False))


def _write_json_lines(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json, "jsonl": _write_json_lines}
