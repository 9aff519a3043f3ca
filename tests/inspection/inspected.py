"""Small folders of generated images, and what `cct inspect` finds in them."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from clones import DEFAULTS
from PIL import Image

from cct import params
from cct.data.params import PreprocessParams
from cct.inspection.examine import examine
from cct.inspection.problems import Problem
from cct.inspection.report import Report, make_report

DIGITS = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0], "datasets/data/digits.csv.gz")
ODD_NAMES = ('<b>&"it\'s"', "قطة", "猫", "Löwe & Käfer", "$5_{x}^2")


def parameters(**changes: Any) -> PreprocessParams:
    """The section `preprocess` of the tests' parameters, with changes."""
    return PreprocessParams(**params.load(DEFAULTS, "preprocess").model_dump() | changes)


def noise(seed: int, height: int = 20, width: int = 20, channels: int = 3) -> Image.Image:
    """An image that equals no other of another seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels if channels == 3 else pixels[..., 0])


def make_folder(root: Path, counts: dict[str, int], **options: Any) -> Path:
    """Class folders with so many different images each."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise(1000 * place + number, **options).save(root / name / f"{number}.png")
    return root


def inspected(path: Path, tmp_path: Path, *, chosen=None, size=None, **changes: Any) -> Report:
    """The report with the options --class-folder and --image-size, and with changed parameters."""
    preprocess = parameters(**changes)
    examined = examine(path, preprocess, class_folder=chosen, folder=tmp_path / "thumbnails")
    return make_report(examined, preprocess, image_size=size)


def problems(report: Report) -> dict[str, Problem]:
    """The problems by their kind."""
    found = {problem.kind: problem for problem in report.problems}
    assert len(found) == len(report.problems)
    return found
