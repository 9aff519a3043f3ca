"""The report as lines on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cct.data.listing import describe_ignored
from cct.inspection.problems import BRIGHT, DARK, many
from cct.inspection.suggestion import suggestion_heading

MAX_CLASSES = 40  # lines of classes; the page has all


def as_text(facts: Mapping[str, Any]) -> str:
    """The facts of a report, plainly. The last line says whether they are enough to train on, or what to do."""
    lines = [
        f"{facts['name']}: {many(facts['images'], 'image')} in {many(len(facts['classes']), 'class')} "
        f"({facts['source']})",
        "",
        *class_lines(facts["classes"]),
        "",
        *(f"{label + ':':12}{text}" for label, text in fact_rows(facts)),
    ]
    for heading, refused in (("Problems that preprocess refuses", True), ("Worth a look", False)):
        shown = [problem for problem in facts["problems"] if problem["refused"] == refused]
        lines += ["", heading] if shown else []
        for problem in shown:
            lines.append(f"  {problem['title']}")
            lines += [f"    {example}" for example in problem["examples"]]
            lines += [f"    and {problem['more']:,} more"] if problem["more"] else []
    lines += ["", suggestion_heading(facts["to_do"]), f"  {facts['suggestion']['command']}", ""]
    if "files" in facts:
        lines.append(f"The images are in {' and '.join(facts['files'])}.")
    return "\n".join([*lines, facts["to_do"]])


def fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and sentences of all facts but classes and problems."""
    imbalance, sizes, light = facts["imbalance"], facts["sizes"], facts["brightness"]
    chosen = [split for split, by in facts["splits"].items() if by == "preprocess" and split != "train"]
    rows = [("Splits", f"preprocess chooses {' and '.join(chosen)}" if chosen else "all are those of the source")]
    if imbalance:
        times = f"the largest class has {imbalance:.3g} times the images of the smallest"
        rows.append(("Imbalance", times if imbalance > 1 else "all classes have the same number of images"))
    if sizes:
        smallest, median, largest = ("x".join(map(str, sizes[name])) for name in ("min", "median", "max"))
        rows.append(
            (
                "Sizes",
                f"all are {median} (height x width)"
                if sizes["distinct"] == 1
                else f"{smallest} to {largest} (height x width), median {median}; {sizes['distinct']:,} sizes, "
                f"{100 * sizes['non_square']:.3g} % not square",
            )
        )
        rows.append(("Channels", f"{facts['channels']['colour']:,} in colour, {facts['channels']['grey']:,} grey"))
    if facts["formats"]:
        rows.append(("Formats", ", ".join(f"{count:,} {name}" for name, count in facts["formats"].items())))
    if light:
        rows.append(
            (
                "Brightness",
                f"mean {light['mean']:.0f} of 255; {light['very_dark']:,} very dark (below {DARK}), "
                f"{light['very_bright']:,} very bright (above {BRIGHT})",
            )
        )
    if facts["ignored"]:
        rows.append(("Ignored", describe_ignored(facts["ignored"])))
    return rows


def columns(classes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The numbers that each class has: images, and where the splits are known, those of each split."""
    return [name for name in classes[0] if name != "name"]


def class_lines(classes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table with the names at the end, so that names of any script and width disturb no column."""
    names = columns(classes)
    yield "  ".join([*(f"{name:>8}" for name in names), "class"])
    for row in classes[:MAX_CLASSES]:
        yield "  ".join([*(f"{row[name]:8,}" for name in names), row["name"]])
    if len(classes) > MAX_CLASSES:
        yield f"and {len(classes) - MAX_CLASSES:,} more classes"
