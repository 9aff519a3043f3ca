"""All facts about a data source, as `cct inspect --json` prints them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cct.data.params import PreprocessParams
from cct.data.splits import SPLIT_CODES
from cct.inspection.examine import Examined
from cct.inspection.problems import BRIGHT, DARK, Checked, Problem, find_problems
from cct.inspection.splitting import Splitting, make_splitting
from cct.inspection.suggestion import FIRST, Suggestion, suggest, suggest_size


class Report(NamedTuple):
    """The facts and problems of a source.

    Attributes:
        facts: JSON values.
        problems: with the items of their examples, for thumbnails.
        examined: the images.
        label_n: the index of each item's class.
    """

    facts: dict[str, Any]
    problems: Sequence[Problem]
    examined: Examined
    label_n: np.ndarray

    @property
    def ready(self) -> bool:
        """Whether preprocess would accept the source with the parameters as they are."""
        return self.facts["ready"]


def make_report(
    examined: Examined,
    preprocess: PreprocessParams,
    *,
    image_size: tuple[int, int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Describe a source, its problems, and the command that trains on it.

    Args:
        examined: the source.
        preprocess: the parameters that preprocess would use.
        image_size: height and width that the user wants, in pixels; None suggests them.
        settings: parameters that the user set, by their full names.
    """
    facts_n = examined.decoded.facts_n
    good_n = facts_n[facts_n["error"] == b""]
    splitting = make_splitting(examined, preprocess)
    image_size = image_size or suggest_size(good_n["height"], good_n["width"])
    problems = find_problems(Checked(examined, splitting, preprocess, image_size))
    class_counts = np.bincount(splitting.label_n[facts_n["error"] == b""], minlength=len(examined.classes))
    imbalance = float(class_counts.max() / class_counts.min()) if class_counts.min() else None
    suggestion = suggest(
        examined.source,
        image_size,
        skip_bad=0 < len(good_n) < len(facts_n),
        class_folder=examined.class_folder,
        imbalance=imbalance,
        settings=settings or {},
    )
    facts = {
        "source": printable(examined.source),
        "name": examined.name,
        "images": len(facts_n),
        "classes": _classes(examined, splitting, class_counts),
        "splits": _splits(splitting),
        "imbalance": imbalance and round(imbalance, 2),
        **_image_facts(good_n),
        "ignored": {printable(kind): count for kind, count in examined.ignored.items()},
        "problems": [_plain(problem) for problem in problems],
        "suggestion": {
            "image_size": list(suggestion.image_size),
            "preset": suggestion.preset,
            "parameters": list(suggestion.words),
            "command": suggestion.command,
        },
        "ready": not any(problem.remedy for problem in problems),
        "to_do": _to_do(problems, suggestion),
    }
    return Report(facts, problems, examined, splitting.label_n)


def printable(text: str) -> str:
    """A text that a terminal, a page and a file can hold: names of files may have any bytes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _classes(examined: Examined, splitting: Splitting, class_counts: np.ndarray) -> list[dict[str, Any]]:
    counts = {
        split: np.bincount(splitting.label_n[splitting.split_n == code], minlength=len(examined.classes))
        for split, code in SPLIT_CODES.items()
    }
    return [
        {
            "name": name,
            "images": int(class_counts[number]),
            **({} if splitting.error else {split: int(found[number]) for split, found in counts.items()}),
        }
        for number, name in enumerate(examined.classes)
    ]


def _splits(splitting: Splitting) -> dict[str, str]:
    """Who chooses each split."""
    stated = {split: bool((splitting.stated_n == code).any()) for split, code in SPLIT_CODES.items()}
    return {split: "source" if known else "preprocess" for split, known in stated.items()}


def _image_facts(good_n: np.ndarray) -> dict[str, Any]:
    """Sizes, channels, formats and brightness of the images that could be decoded."""
    if not len(good_n):
        return {"sizes": None, "channels": None, "formats": {}, "brightness": None}
    height_n, width_n, light_n = (good_n[name] for name in ("height", "width", "brightness"))
    area_n = height_n.astype(np.int64) * width_n
    smallest, largest = (int(place) for place in (area_n.argmin(), area_n.argmax()))
    return {
        "sizes": {
            "min": [int(height_n[smallest]), int(width_n[smallest])],
            "median": [int(np.median(height_n)), int(np.median(width_n))],
            "max": [int(height_n[largest]), int(width_n[largest])],
            "distinct": int(np.unique(np.stack([height_n, width_n]), axis=1).shape[1]),
            "non_square": round(float((height_n != width_n).mean()), 4),
        },
        "channels": {"grey": int(good_n["grey"].sum()), "colour": int((~good_n["grey"]).sum())},
        "formats": dict(Counter(name.decode() for name in good_n["decoder"].tolist() if name).most_common()),
        "brightness": {
            "mean": round(float(light_n.mean(dtype=float)), 1),
            "very_dark": int((light_n < DARK).sum()),
            "very_bright": int((light_n > BRIGHT).sum()),
        },
    }


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind,
        "title": printable(problem.title),
        "count": problem.count,
        "examples": [printable(example) for example in problem.examples],
        "more": problem.more,
        "refused": bool(problem.remedy),
    }


def _to_do(problems: Sequence[Problem], suggestion: Suggestion) -> str:
    """The sentence that says what to do next."""
    refused = [problem for problem in problems if problem.remedy]
    if not refused:
        return "Ready: preprocess would accept these images with the parameters as they are."
    if not all(problem.by_command for problem in refused):
        ordered = sorted(refused, key=lambda problem: problem.by_command)
        return f"{FIRST}: {printable('; '.join(problem.remedy for problem in ordered))}."
    remedies = " and ".join(problem.remedy for problem in refused)
    return f"To do: run the suggested command, which has parameters for this; or {remedies}."
