"""Problems of the images of a data source, and facts that are worth a look.

To add a check, write it and name it in `CHECKS`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence, Sized
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from cct.data.params import PreprocessParams
from cct.data.splits import TEST, TRAIN, UNSTATED, VAL
from cct.inspection.examine import Examined, thumbnails
from cct.inspection.splitting import Splitting

SHOWN = 5  # examples of each problem
GROUP = 6  # thumbnails of a group of duplicates
DARK, BRIGHT = 16, 240  # mean of the pixels, of 255
# The endings of the files that each decoder reads.
ENDINGS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
}


class Problem(NamedTuple):
    """A kind of problem.

    Attributes:
        kind: its key in the JSON of `cct inspect`.
        title: what was found, with the number.
        count: how many images, groups or classes.
        examples: up to `SHOWN` of these, as text.
        more: how many examples are not shown.
        remedy: what to do, if preprocess would refuse the source for it; otherwise empty.
        by_command: whether the suggested command has a parameter against it.
        rows: the items of each example, for thumbnails.
    """

    kind: str
    title: str
    count: int
    examples: Sequence[str] = ()
    more: int = 0
    remedy: str = ""
    by_command: bool = False
    rows: Sequence[Sequence[int]] = ()


class Checked(NamedTuple):
    """All that a check may look at."""

    examined: Examined
    splitting: Splitting
    preprocess: PreprocessParams
    image_size: tuple[int, int]

    @property
    def good(self) -> np.ndarray:
        """The numbers of the items that could be decoded."""
        return np.flatnonzero(self.examined.decoded.facts_n["error"] == b"")


def find_problems(checked: Checked) -> list[Problem]:
    """All problems of a source: first those that preprocess refuses, then those that it does not."""
    found = [problem for check in CHECKS for problem in check(checked)]
    return sorted(found, key=lambda problem: not problem.remedy)


def many(count: int, noun: str) -> str:
    """A number and its noun: "1 image", "1,000 images", "2 classes"."""
    plural = noun if count == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {plural}"


def _bad_images(checked: Checked) -> list[Problem]:
    examined, errors_n = checked.examined, checked.examined.decoded.facts_n["error"]
    bad = np.flatnonzero(errors_n != b"").tolist()
    if not bad:
        return []
    reasons = Counter(_reason(errors_n[row].decode()) for row in bad)
    remedy, some_good = "", len(bad) < len(examined.items)
    if checked.preprocess.on_bad_image == "fail" or not some_good:
        remedy = f"mend or remove {many(len(bad), 'bad image')}"
    parts = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(20))
    return [
        Problem(
            "bad_images",
            f"{many(len(bad), 'bad image')}: {parts}",
            len(bad),
            [f"{examined.items[row].name}: {errors_n[row].decode()}" for row in bad[:SHOWN]],
            _more(bad),
            remedy,
            by_command=some_good,
        )
    ]


def _reason(error: str) -> str:
    """The kind of an error of `decode_image`, without the numbers and the decoder's words."""
    return re.sub(r"^\d+x\d+ pixels[:,] |^[\d,]+ bytes, ", "", error).partition(":")[0].partition(" (")[0]


def _nested_folders(checked: Checked) -> list[Problem]:
    nested, taken = checked.examined.nested, checked.examined.class_folder
    if not nested:
        return []
    counts = " or ".join(f"{many(len(classes), 'class')} by the {kind} folder" for kind, classes in nested.items())
    other = next((kind for kind in ("top", "leaf") if kind != taken), "")
    remedy = "" if checked.preprocess.class_folder else "set preprocess.class_folder"
    examples = [f"{kind}: {', '.join(classes[:SHOWN])}" for kind, classes in nested.items()]
    title = f"folders inside of class folders: {counts}; {taken} is taken, and --class-folder {other} takes the other"
    return [Problem("nested_folders", title, 1, examples, remedy=remedy, by_command=True)]


def _classes(checked: Checked) -> list[Problem]:
    examined, problems = checked.examined, []
    labels = {item.label for item in examined.items}
    if len(labels) < 2:
        title = f"all images are of one class ({next(iter(labels))})"
        remedy = "add images of another class: a classifier needs two or more"
        problems.append(Problem("one_class", title, 1, sorted(labels), remedy=remedy))
    if unknown := examined.unknown:
        title = f"{many(len(unknown), 'class')} that the descriptor does not name"
        remedy = "name all classes in the descriptor"
        problems.append(Problem("unknown_classes", title, len(unknown), unknown[:SHOWN], _more(unknown), remedy))
    return problems


def _splits(checked: Checked) -> list[Problem]:
    """Classes that are too small, and training images of one colour, as preprocess refuses them."""
    splitting = checked.splitting
    if splitting.error:
        small = splitting.small
        if not small:
            return [Problem("splits", splitting.error, 1, remedy=splitting.error)]
        title = f"{many(len(small), 'class')} with fewer than {splitting.needed} different images"
        examples = [f"{name}: {count:,}" for name, count in small.items()][:SHOWN]
        remedy = f"add images of {', '.join([*small][:SHOWN])}"
        return [Problem("small_classes", title, len(small), [*examples, splitting.error], _more(small), remedy)]
    train = np.flatnonzero(splitting.split_n == TRAIN)
    first = thumbnails(checked.examined, train[:1])
    constant = (first.min(axis=(1, 2)) == first.max(axis=(1, 2))).ravel()
    for start in range(0, len(train), 256):
        if not constant.any():
            return []
        batch = thumbnails(checked.examined, train[start : start + 256])
        constant &= (batch == first[:, :1, :1]).all(axis=(0, 1, 2))
    if not (constant.all() if checked.preprocess.channels == "grey" else constant.any()):
        return []
    title = "a channel has one value in all training images"
    return [Problem("one_colour", title, 1, remedy="use images that differ in every channel")]


def _duplicates(checked: Checked) -> list[Problem]:
    examined, split_n = checked.examined, checked.splitting.split_n
    digest_n = examined.decoded.facts_n["sha256"].view("S32")
    stated = (checked.splitting.stated_n != UNSTATED).any()
    leaks, conflicts, exact, near = [], [], [], []
    for group in examined.duplicates.groups():
        if stated and len({int(split) for split in split_n[group]} & {TRAIN, VAL, TEST}) > 1:
            leaks.append(group)
        if len({examined.items[row].label for row in group}) > 1:
            conflicts.append(group)
        _, first, kind_n, count = np.unique(digest_n[group], return_index=True, return_inverse=True, return_counts=True)
        equal_rows = np.split(group[np.argsort(kind_n, kind="stable")], np.cumsum(count)[:-1])
        exact += sorted((rows for rows in equal_rows if len(rows) > 1), key=lambda rows: rows[0])
        near += [group[np.sort(first)]] if len(first) > 1 else []
    equal, similar = examined.duplicates.exact, examined.duplicates.near
    alike = many(len(leaks), "group")
    found = [
        ("leaks", leaks, len(leaks), f"{alike} of duplicates in several splits: scores on them are too high"),
        ("conflicts", conflicts, len(conflicts), f"{many(len(conflicts), 'group')} of duplicates in several classes"),
        ("exact_duplicates", exact, equal, f"{_equals(equal)} an earlier one in all pixels"),
        ("near_duplicates", near, similar, f"{_equals(similar, 'nearly ')} an earlier one"),
    ]
    problems = []
    for kind, groups, count, title in found:
        rows = [group[:GROUP].tolist() for group in groups[:SHOWN]]
        named = [" = ".join(_placed(examined, row) for row in group) for group in rows]
        if count:
            problems.append(Problem(kind, title, count, named, _more(groups), rows=rows))
    return problems


def _equals(count: int, nearly: str = "") -> str:
    return f"{many(count, 'image')} {nearly}equal{'s' * (count == 1)}"


def _placed(examined: Examined, row: int) -> str:
    """The name of an image; with its class where the name does not begin with it."""
    item = examined.items[row]
    return item.name if item.label in item.name.split("/") else f"{item.name} ({item.label})"


def _other_endings(checked: Checked) -> list[Problem]:
    examined, decoder_n = checked.examined, checked.examined.decoded.facts_n["decoder"]
    wrong = [
        row
        for row in checked.good.tolist()
        if (decoder := decoder_n[row].decode()) and _suffix(examined, row) not in ENDINGS[decoder]
    ]
    examples = [f"{examined.items[row].name}: {decoder_n[row].decode()}" for row in wrong[:SHOWN]]
    title = f"{many(len(wrong), 'image')} of another format than the file's ending says: no error, the content counts"
    return [Problem("other_ending", title, len(wrong), examples, _more(wrong), rows=_each(wrong))] if wrong else []


def _suffix(examined: Examined, row: int) -> str:
    return PurePosixPath(examined.items[row].name).suffix.lower()


def _small_dark_bright(checked: Checked) -> list[Problem]:
    examined, good = checked.examined, checked.good
    facts_n, (height, width) = examined.decoded.facts_n[good], checked.image_size
    light_n = facts_n["brightness"]
    problems = []
    for kind, where_n, what in (
        ("small", (facts_n["height"] < height) | (facts_n["width"] < width), f"smaller than {height}x{width} pixels"),
        ("dark", light_n < DARK, f"very dark (mean below {DARK} of 255)"),
        ("bright", light_n > BRIGHT, f"very bright (mean above {BRIGHT} of 255)"),
    ):
        rows = good[where_n].tolist()
        sizes = [f"{one['height']}x{one['width']}" for one in facts_n[where_n][:SHOWN]]
        means = [f"mean {one:.0f}" for one in light_n[where_n][:SHOWN]]
        named = [
            f"{examined.items[row].name}: {value}"
            for row, value in zip(rows[:SHOWN], sizes if kind == "small" else means, strict=True)
        ]
        if rows:
            title = f"{many(len(rows), 'image')} {what}"
            problems.append(Problem(kind, title, len(rows), named, _more(rows), rows=_each(rows)))
    return problems


def _more(found: Sized) -> int:
    return max(0, len(found) - SHOWN)


def _each(rows: Sequence[int]) -> list[list[int]]:
    return [[row] for row in rows[:SHOWN]]


CHECKS: tuple[Callable[[Checked], list[Problem]], ...] = (
    _bad_images,
    _nested_folders,
    _classes,
    _splits,
    _duplicates,
    _other_endings,
    _small_dark_bright,
)
