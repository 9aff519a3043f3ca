"""Say of which class images or texts are, with a trained model."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cct.commands.arguments import non_empty, probability, whole_number
from cct.log import ROOT

BROKEN = 3  # the exit code where a file could not be used
NAME_WIDTH = 60  # characters of a file's name in the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Inputs that cannot be used are named on stderr, the others are predicted, and the command ends with "
        f"{BROKEN}. The probabilities are calibrated on the validation split."
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", type=non_empty,
        help="images: files, folders, zip or tar archives, quoted patterns, or - for one image on standard input; "
        "texts: the texts, text files, tables with a column of texts, or - for a text on each line of standard input",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=non_empty, metavar="MODEL",
        help="a .keras file, models:/NAME@champion or runs:/RUN_ID/model (default: models/model.keras)",
    )  # fmt: skip
    which.add_argument("--run", type=non_empty, metavar="RUN_ID", help="the model of a run, as the MLflow UI shows it")
    parser.add_argument("--top", type=whole_number(1000), default=1, metavar="K", help="show K classes (default: 1)")
    parser.add_argument(
        "--unsure",
        type=probability,
        default=0.5,
        metavar="P",
        help="mark predictions below this probability (default: 0.5)",
    )
    shape = parser.add_mutually_exclusive_group()
    for name, text in (
        ("csv", "comma-separated values"),
        ("json", "one JSON list"),
        ("jsonl", "one JSON object a line"),
    ):
        shape.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {text}")
    parser.set_defaults(format="table")


def main(arguments: argparse.Namespace) -> int:
    from cct import load
    from cct.paths import MODEL
    from cct.repository import repository_root
    from cct.tasks.inference import INFERENCE_TASKS
    from cct.tasks.lookup import task_of

    if arguments.format != "table":
        logging.getLogger(ROOT).setLevel(logging.WARNING)  # other lines go to stdout too
    address = _model_of_run(arguments.run) if arguments.run else arguments.model or repository_root() / MODEL
    classifier = load(address)
    named = task_of({"task": classifier.metadata.task}, INFERENCE_TASKS).named(arguments.inputs)
    broken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal broken
        for row in predict_named(classifier, named, top=arguments.top, unsure=arguments.unsure):
            if "error" in row:
                broken += 1
                print(f"{row['file']}: {row['error']}", file=sys.stderr)
            yield row

    WRITERS[arguments.format](rows(), arguments.top)
    if broken:
        print(f"{broken} of {named.count} {named.unit} could not be used; they are named above", file=sys.stderr)
    return BROKEN if broken else 0


def _model_of_run(run_id: str) -> str:
    """The address in MLflow of the model that a run logged."""
    from cct.repository import require_repository
    from cct.tracking.store import Store, explained_errors

    require_repository()
    with explained_errors():
        store = Store()
        return f"models:/{store.require_model(store.get(run_id))}"


def predict_named(classifier: Any, named: Any, *, top: int, unsure: float) -> Iterator[dict[str, Any]]:
    """One row per input, in order and in bounded memory: file, label, probability, unsure and top; or an error."""
    from tqdm import tqdm

    with tqdm(total=named.count, unit=f" {named.unit}", desc="predict", disable=None, delay=1) as bar:
        for chunk in named.chunks(classifier.reader):
            best = iter(classifier.predict_arrays(chunk.arrays).top(top))
            for place, name in enumerate(chunk.names):
                if place in chunk.errors:
                    yield {"file": name, "error": chunk.errors[place]}
                    continue
                answers = next(best)
                shown = [{"label": label, "probability": round(p, 6)} for label, p in answers]
                label, p = answers[0]
                yield {"file": name, "label": label, "probability": round(p, 6), "unsure": p < unsure, "top": shown}
            bar.update(len(chunk.names))


def _write_table(rows: Iterable[dict[str, Any]], top: int) -> None:
    for row in rows:
        if "error" not in row:
            name = row["file"] if len(row["file"]) <= NAME_WIDTH else "…" + row["file"][1 - NAME_WIDTH :]
            answers = "  ".join(f"{one['probability']:7.2%} {one['label']}" for one in row["top"])
            print(f"{name:{NAME_WIDTH}}  {answers}{'  (unsure)' if row['unsure'] else ''}".rstrip())


def _write_csv(rows: Iterable[dict[str, Any]], top: int) -> None:
    more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["file", "label", "probability", "unsure", "error", *more])
    for row in rows:
        if "error" in row:
            table.writerow([row["file"], "", "", "", row["error"]])
        else:
            rest = [value for one in row["top"][1:] for value in one.values()]
            table.writerow([row["file"], row["label"], row["probability"], str(row["unsure"]).lower(), "", *rest])


def _write_json(rows: Iterable[dict[str, Any]], top: int) -> None:
    print(json.dumps(list(rows), indent=2, ensure_ascii=False))


def _write_json_lines(rows: Iterable[dict[str, Any]], top: int) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json, "jsonl": _write_json_lines}
