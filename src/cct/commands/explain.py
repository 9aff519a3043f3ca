"""Show what a trained model looked at in images, as heat maps over them."""

import argparse
import logging
import sys
from pathlib import Path

from cct.commands.arguments import BROKEN, add_model, load_classifier, non_empty
from cct.errors import CCTError

log = logging.getLogger(__name__)

MAX_IMAGES, DPI = 50, 100  # of the figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Each row of the figure is an image. A heat map shows the share of each place in the prediction, by attention "
        "rollout: first of the tokens that enter the first layer, then of those that enter each later one, at last the "
        f"weights of sequence pooling. Files that are no images are named, and the command ends with {BROKEN}."
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", type=non_empty,
        help=f"image files, folders, zip or tar archives, quoted patterns, or -; at most {MAX_IMAGES} images",
    )  # fmt: skip
    add_model(parser)
    parser.add_argument(
        "--output", metavar="FILE", type=Path, default=Path("explain.png"), help="the PNG (default: explain.png)"
    )


def main(arguments: argparse.Namespace) -> int:
    import numpy as np

    from cct.evaluation.figures.attention import plot_explanations
    from cct.evaluation.figures.style import save_figure
    from cct.files import require_writable
    from cct.inference.files import count_files, decode_listed, list_files

    listed = list_files(arguments.paths)
    if (count := count_files(listed)) > MAX_IMAGES:
        raise CCTError(f"{count:,} images are too many for one figure: name at most {MAX_IMAGES}")
    require_writable(arguments.output.parent)
    classifier = load_classifier(arguments)
    names, images, broken = [], [], 0
    for decoded in decode_listed(listed, classifier.reader.options):
        for name, pixels_hwc, error in zip(decoded.names, decoded.pixels_nhwc, decoded.errors, strict=True):
            if error:
                broken += 1
                print(f"{name}: {error}", file=sys.stderr)
            else:
                names.append(name)
                images.append(pixels_hwc)
    if images:
        found = classifier.explain_arrays(np.stack(images))
        answers = [f"{label} {confidence:.1%}" for ((label, confidence),) in found.predictions.top(1)]
        rows = list(zip(names, answers, strict=True))
        for name, answer in rows:
            print(f"{name}  {answer}")
        save_figure(plot_explanations(found.arrays, rows, found.attention.titled()), arguments.output, DPI)
        log.info("%s shows what the model looked at", arguments.output)
    return BROKEN if broken else 0
