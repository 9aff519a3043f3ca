"""Show what a trained model looked at, as heat maps over images or marks under words."""

import argparse
import logging
import sys
from pathlib import Path

from cct.commands.arguments import BROKEN, add_inputs, add_model, load_classifier
from cct.errors import CCTError
from cct.inference.printed import name_of_input, plain, plain_lines

log = logging.getLogger(__name__)

MAX_INPUTS, DPI, LABEL_WIDTH = 50, 100, 30  # of the figure; columns of a class name in it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The share of each place or word in the prediction, by attention rollout: first of the tokens that enter the "
        "first layer, then of those that enter each later one, at last the weights of sequence pooling. Texts are "
        f"also printed with a bar under each word. What cannot be used is named, and the command ends with {BROKEN}."
    )
    add_inputs(parser)
    add_model(parser)
    parser.add_argument(
        "--output", metavar="FILE", type=png_path, default=Path("explain.png"), help="the PNG (default: explain.png)"
    )


def png_path(text: str) -> Path:
    """A file that ends in `.png`. The figure is a PNG whatever the ending."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return Path(text)


def main(arguments: argparse.Namespace) -> int:
    import numpy as np

    from cct.evaluation.figures.style import class_labels, save_figure, warn_of_missing_fonts
    from cct.files import require_writable

    require_writable(arguments.output.parent)
    classifier = load_classifier(arguments)
    named = classifier.task.named(arguments.inputs, classifier.reader)
    if named.count > MAX_INPUTS:
        raise CCTError(f"{named.count:,} {named.unit} are too many for one figure: name at most {MAX_INPUTS}")
    names, arrays, shown, broken = [], [], [], 0
    for chunk in named.chunks:
        for place, error in chunk.errors.items():
            broken += 1
            print(f"{name_of_input(chunk.names[place], named.is_path)}: {error}", file=sys.stderr)
        names += [name for place, name in enumerate(chunk.names) if place not in chunk.errors]
        arrays += [*chunk.arrays]
        shown += [*chunk.shown]
    if names:
        found, explaining = classifier.explain_arrays(np.stack(arrays)), classifier.task.explaining
        for name, warning in zip(names, found.predictions.warnings, strict=True):
            if warning:
                print(f"{name_of_input(name, named.is_path)}: {warning}", file=sys.stderr)
        answers = [(label, f"{confidence:.1%}") for ((label, confidence),) in found.predictions.top(1)]
        lines = explaining.lines(classifier.reader, shown, found.attention)
        for name, answer, text in zip(names, map(" ".join, answers), lines, strict=True):
            print(f"{plain_lines(text)}\n{answer}\n" if text else f"{plain(name)}  {answer}")
        warn_of_missing_fonts(classifier.classes)
        label_of = dict(zip(classifier.classes, class_labels(classifier.classes, LABEL_WIDTH), strict=True))
        rows = [(name, f"{label_of[label]} {share}") for name, (label, share) in zip(names, answers, strict=True)]
        save_figure(explaining.figure(classifier.reader, shown, rows, found.attention), arguments.output, DPI)
        log.info("%s shows what the model looked at", arguments.output)
    if broken:
        print(f"{broken} of {named.count} {named.unit} could not be used; they are named above", file=sys.stderr)
    return BROKEN if broken else 0
