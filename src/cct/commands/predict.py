"""Say of which class images or texts are, with a trained model."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cct.commands.arguments import BROKEN, add_inputs, add_model, coverage, load_classifier, probability, whole_number
from cct.inference.printed import NAME_WIDTH, IsPath, name_of_input, shortened
from cct.log import ROOT

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Inputs that cannot be used are named on stderr, the others are predicted, and the command ends with "
        f"{BROKEN}. The probabilities are calibrated on the validation split. A text of which the model knows no word "
        "is named on stderr too, and its prediction is always marked as unsure."
    )
    add_inputs(parser)
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
        help="also show a set of classes that has the true one for this share of inputs: 0.95",
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
    if arguments.format != "table":
        logging.getLogger(ROOT).setLevel(logging.WARNING)  # other lines go to stdout too
    classifier = load_classifier(arguments)
    named = classifier.task.named(arguments.inputs, classifier.reader)
    broken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal broken
        for row in predict_named(classifier, named, arguments):
            broken += "error" in row
            if said := row.get("error") or row.get("warning"):
                print(f"{name_of_input(row['input'], named.is_path)}: {said}", file=sys.stderr)
            yield row

    if arguments.coverage:
        from cct.inference.classifier import warn_of_whole_sets

        warn_of_whole_sets(classifier.metadata.set_thresholds, arguments.coverage)
    WRITERS[arguments.format](rows(), arguments, named.is_path)
    if broken:
        print(f"{broken} of {named.count} {named.unit} could not be used; they are named above", file=sys.stderr)
    return BROKEN if broken else 0


def predict_named(classifier: Any, named: Any, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per input, in order, some at a time: its name, and what is predicted or an error."""
    from tqdm import tqdm

    from cct.inference.rows import prediction_rows

    with tqdm(total=named.count, unit=f" {named.unit}", desc="predict", disable=None, delay=1) as bar:
        for chunk in named.chunks:
            answers = prediction_rows(
                classifier.predict_arrays(chunk.arrays),
                top=arguments.top,
                unsure=arguments.unsure,
                coverage=arguments.coverage,
            )
            for place, name in enumerate(chunk.names):
                yield {"input": name} | ({"error": chunk.errors[place]} if place in chunk.errors else next(answers))
            bar.update(len(chunk.names))


def _write_table(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace, is_path: IsPath) -> None:
    from cct.evaluation.figures.style import columns

    for row in rows:
        if "error" not in row:
            name = shortened(row["input"], keep_end=is_path(row["input"]))
            answers = "  ".join(f"{one['probability']:7.2%} {one['label']}" for one in row["top"])
            classes = f"  {{{', '.join(row['set'])}}}" if "set" in row else ""
            padding = " " * (NAME_WIDTH - columns(name))
            print(f"{name}{padding}  {answers}{classes}{'  (unsure)' if row['unsure'] else ''}".rstrip())


def _write_csv(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace, is_path: IsPath) -> None:
    more = [f"{name}_{place}" for place in range(2, arguments.top + 1) for name in ("label", "probability")]
    table = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.coverage:
        more.append("set")
    table.writerow(["input", "label", "probability", "unsure", "error", "warning", *more])
    for row in rows:
        if "error" in row:
            table.writerow([row["input"], "", "", "", row["error"], "", *[""] * len(more)])
        else:
            rest = [value for one in row["top"][1:] for value in one.values()]
            rest += [""] * (2 * arguments.top - 2 - len(rest))  # a model may have fewer classes
            if "set" in row:
                rest.append(json.dumps(row["set"], ensure_ascii=False))
            unsure, warning = str(row["unsure"]).lower(), row.get("warning", "")
            table.writerow([row["input"], row["label"], row["probability"], unsure, "", warning, *rest])


def _write_json(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace, is_path: IsPath) -> None:
    print(json.dumps(list(rows), indent=2, ensure_ascii=False))


def _write_json_lines(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace, is_path: IsPath) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json, "jsonl": _write_json_lines}
