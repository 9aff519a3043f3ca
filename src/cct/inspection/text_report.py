"""The facts about texts as lines on a terminal and as a page."""

from collections.abc import Mapping
from html import escape
from typing import Any

from cct.data.listing import describe_ignored
from cct.inspection.page import POLICY, STYLE
from cct.inspection.problems import many
from cct.inspection.suggestion import suggestion_heading
from cct.inspection.text import MAX_CLASSES, class_lines, columns
from cct.words import FIRST_WORD


def text_lines(facts: Mapping[str, Any]) -> str:
    """The facts, plainly. The last line says whether they are enough to train on, or what to do."""
    lines = [
        f"{facts['name']}: {many(facts['texts'], 'text')} in {many(len(facts['classes']), 'class')} "
        f"({facts['source']})",
        "",
        *class_lines(facts["classes"]),
    ]
    lines += ["", *(f"{name + ':':12}{text}" for name, text in fact_rows(facts)), ""]
    for name, examples in list(facts["examples"].items())[:MAX_CLASSES]:
        lines += [f"{name}: {text}" for text in examples[:1]]
    for problem in facts["problems"]:
        lines += ["", problem["title"], *(f"    {text}" for text in problem["examples"])]
    suggestion = facts["suggestion"]
    reasons = [f"  {reason}" for reason in suggestion["reasons"]]
    lines += ["", suggestion_heading(facts["to_do"]), f"  {suggestion['command']}", *reasons, ""]
    if "files" in facts:
        lines.append(f"More examples are in {' and '.join(facts['files'])}.")
    return "\n".join([*lines, facts["to_do"]])


def fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and sentences of all facts but classes, examples and problems."""
    chosen = [split for split, by in facts["splits"].items() if by == "preprocess" and split != "train"]
    lengths, unit = facts["lengths"], facts["tokens"]
    read = ", ".join(
        name if name.lower() == column else f"{name} for {column}" for column, name in facts["columns"].items()
    )
    imbalance = facts["imbalance"]
    times = f"the largest class has {imbalance:.3g} times the texts of the smallest"
    rows = [
        *([("Columns", read)] if facts["columns"] else []),
        ("Splits", f"preprocess chooses {' and '.join(chosen)}" if chosen else "all are those of the source"),
        ("Imbalance", times if imbalance > 1 else "all classes have the same number of texts"),
        (
            "Lengths",
            f"{lengths['min']} to {lengths['max']:,} {unit}, median {lengths['median']}, 95 % up to "
            f"{lengths['percentile_95']}; {lengths['longer_than_arrays']:,} texts are longer than the arrays",
        ),
    ]
    if "vocabulary" in facts:
        unknown = ", ".join(
            f"{100 * count / max(1, facts['words'][split]):.1f} % in {split}"
            for split, count in facts["unknown_words"].items()
            if split != "train"
        )
        if facts["most_frequent"]:  # bytes have no vocabulary
            rows.append(
                ("Vocabulary", f"{facts['vocabulary'] - FIRST_WORD:,} words of the training split; unknown: {unknown}")
            )
        duplicates = facts["duplicates"]
        rows.append(("Duplicates", f"{duplicates['exact']:,} texts equal an earlier one in all {unit}"))
    if facts["ignored"]:
        rows.append(("Ignored", describe_ignored(facts["ignored"])))
    return rows


def text_page(facts: Mapping[str, Any]) -> str:
    """The facts as one HTML file that needs no other file, no address and no script."""
    title = f"{facts['name']}: {facts['texts']:,} texts"
    names = columns(facts["classes"])
    classes = "".join(
        f"<tr><th scope=row class='name'>{_text(row['name'])}</th>"
        + "".join(f"<td class='number'>{row[name]:,}</td>" for name in names)
        + "<td>"
        + "<br>".join(_text(text) for text in facts["examples"][row["name"]])
        + "</td></tr>"
        for row in facts["classes"]
    )
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in ("class", *names, "examples"))
    found = "".join(
        f"<tr><th scope=row>{_text(name)}</th><td>{_text(text)}</td></tr>" for name, text in fact_rows(facts)
    )
    problems = "".join(_problem(problem) for problem in facts["problems"])
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1><p class='todo{'' if facts['ready'] else ' not-ready'}'>{_text(facts['to_do'])}</p>"
        f"<h2>{suggestion_heading(facts['to_do'])}</h2><pre dir='ltr'>{escape(facts['suggestion']['command'])}</pre>"
        f"{''.join(f'<p>{_text(reason)}</p>' for reason in facts['suggestion']['reasons'])}"
        f"<h2>Facts</h2><table>{found}</table>{problems}"
        f"<h2>Classes</h2><div class='scroll'><table><tr>{head}</tr>{classes}</table></div>\n</body>\n</html>\n"
    )


def _problem(problem: Mapping[str, Any]) -> str:
    examples = "".join(f"<li>{_text(text)}</li>" for text in problem["examples"])
    return f"<h3>{_text(problem['title'])}</h3><ul>{examples}</ul>"


def _text(text: str) -> str:
    """A text of any script, which leaves the direction of its surroundings alone."""
    return f"<bdi dir='auto'>{escape(text)}</bdi>"
