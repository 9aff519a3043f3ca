"""The command that trains on a data source, and the size of its images."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cct.data.listing import ClassFolder
from cct.data.params import MIN_SIZE
from cct.overrides import hydra_text, hydra_word

LARGE_IMAGES, SMALL_IMAGES = 256, 48  # pixels of the median image's shorter side: from here 128, below this 32
LARGEST_OWN = 128  # pixels: images of one size up to this keep it, larger ones cost too much time
MAX_IMBALANCE = 3.0  # images of the largest class for each of the smallest, from which classes get weights
PRESETS = {16: "demo", 32: "fast", 96: "photos_64", 512: "photos_128"}  # by the largest side that each is for
FIRST = "To do before any training"  # so begins what to do where the command cannot run yet


class Suggestion(NamedTuple):
    """How to train on a data source.

    Attributes:
        image_size: height and width in pixels.
        preset: the name of a preset.
        words: the parameters that `dvc exp run` gets after the preset.
    """

    image_size: tuple[int, int]
    preset: str
    words: Sequence[str]

    @property
    def command(self) -> str:
        """The command, to be pasted into a shell."""
        return train_command(self.preset, self.words)


def train_command(preset: str, words: Sequence[str]) -> str:
    """The command that trains with a preset and these parameters, to be pasted into a shell."""
    settings = " ".join(f"-S {shlex.quote(word)}" for word in words)
    return f"dvc exp run $(cct preset {preset}) {settings}"


def suggestion_heading(to_do: str) -> str:
    """The heading of the command, by the sentence that says what to do."""
    return f"Suggested command{', once the problems are solved' if to_do.startswith(FIRST) else ''}"


def suggest_size(height_n: np.ndarray, width_n: np.ndarray) -> tuple[int, int]:
    """Height and width for images of these sizes (n,): their own if it is one and small, otherwise a square."""
    sizes = np.unique(np.stack([height_n, width_n]), axis=1)
    first = sizes[:, 0].tolist() if sizes.size else [0, 0]
    if sizes.shape[1] == 1 and all(MIN_SIZE <= side <= LARGEST_OWN for side in first):
        return first[0], first[1]
    shorter = float(np.median(np.minimum(height_n, width_n))) if len(height_n) else 64
    side = 128 if shorter >= LARGE_IMAGES else 32 if shorter < SMALL_IMAGES else 64
    return side, side


def suggest(
    source: str,
    image_size: tuple[int, int],
    *,
    skip_bad: bool,
    class_folder: ClassFolder | None,
    imbalance: float | None,
    settings: Mapping[str, Any] | None = None,
) -> Suggestion:
    """The command for a source.

    Args:
        source: as `data.source` has it.
        image_size: height and width in pixels.
        skip_bad: whether there are bad images beside good ones.
        class_folder: where folders are nested, the folder that is the class.
        imbalance: images of the largest class for each of the smallest.
        settings: parameters that the user set, by their full names. Those of the suggestion count more.
    """
    height, width = image_size
    words = [
        f"data.source={hydra_text(source)}",
        f"preprocess.image_size={height if height == width else f'[{height},{width}]'}",
        *(["preprocess.on_bad_image=skip"] if skip_bad else []),
        *([f"preprocess.class_folder={class_folder}"] if class_folder else []),
        *(["train.class_weights=balanced"] if imbalance and imbalance > MAX_IMBALANCE else []),
    ]
    suggested = {word.partition("=")[0] for word in words}
    words += [hydra_word(name, value) for name, value in (settings or {}).items() if name not in suggested]
    preset = next(name for side, name in PRESETS.items() if max(image_size) <= side)
    return Suggestion(image_size, preset, words)
