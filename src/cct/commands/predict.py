"""Say what images show, with a trained model."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cct.commands.arguments import non_empty, probability, whole_number
from cct.errors import CCTError
from cct.log import ROOT

BROKEN = 3  # the exit code where a file could not be used
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
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=non_empty, metavar="MODEL",
        help="a .keras file, one that cct export made of it, models:/NAME@champion or runs:/RUN_ID/model "
        "(default: models/model.keras)",
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
    from cct.inference.files import list_files
    from cct.paths import MODEL
    from cct.repository import repository_root

    if arguments.format != "table":
        logging.getLogger(ROOT).setLevel(logging.WARNING)  # other lines go to stdout too
    listed = list_files(arguments.paths)
    classifier = load(_model_of_run(arguments.run) if arguments.run else arguments.model or repository_root() / MODEL)
    count = sum(1 if inside is None else len(inside) for _, inside in listed)
    broken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal broken
        for row in predict_files(classifier, listed, count=count, top=arguments.top, unsure=arguments.unsure):
            if "error" in row:
                broken += 1
                print(f"{row['file']}: {row['error']}", file=sys.stderr)
            yield row

    WRITERS[arguments.format](rows(), arguments.top)
    if broken:
        print(f"{broken} of {count} files could not be used; they are named above", file=sys.stderr)
    return BROKEN if broken else 0


def _model_of_run(run_id: str) -> str:
    """The address in MLflow of the model that a run logged."""
    from cct.repository import require_repository
    from cct.tracking.store import Store, explained_errors

    require_repository()
    with explained_errors():
        store = Store()
        return f"models:/{store.require_model(store.get(run_id))}"


def predict_files(
    classifier: Any, listed: list[tuple[str, list[str] | None]], *, count: int, top: int, unsure: float
) -> Iterator[dict[str, Any]]:
    """One row per file, in their order and in bounded memory: file, label, probability, unsure and top; or an error."""
    import itertools

    import numpy as np
    from tqdm import tqdm

    from cct.data.images.pool import decode_files
    from cct.inference.files import names_of, read_files

    if not hasattr(classifier.reader, "options"):
        raise CCTError(f"the model is for {classifier.metadata.task}, not for images")
    names = names_of(listed)
    with tqdm(total=count, unit=" images", desc="predict", disable=None, delay=1) as bar:
        for chunk in decode_files(read_files(listed), classifier.reader.options, count=count):
            errors = chunk.facts_n["error"]
            good = np.flatnonzero(errors == b"")
            predictions = classifier.predict_arrays(chunk.pixels_nhwc[good])
            best = dict(zip(good.tolist(), predictions.top(top), strict=True))
            for place, name in enumerate(itertools.islice(names, len(errors))):
                if place not in best:
                    yield {"file": name, "error": errors[place].decode(errors="replace")}
                    continue
                label, p = best[place][0]
                shown = [{"label": one, "probability": round(q, 6)} for one, q in best[place]]
                yield {"file": name, "label": label, "probability": round(p, 6), "unsure": p < unsure, "top": shown}
            bar.update(len(errors))


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
