"""The report as one HTML file that needs no other file, no address and no script."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from cct.inspection.examine import Examined, thumbnails
from cct.inspection.problems import Problem
from cct.inspection.report import Report, printable
from cct.inspection.sheet import sample_classes
from cct.inspection.suggestion import suggestion_heading
from cct.inspection.text import columns, fact_rows

QUALITY = 85  # of the thumbnails, as JPEG
STYLE = """
:root { color-scheme: light dark; --line: #d5d5d5; --soft: #f3f3f3; --accent: #0072b2; --warn: #b34700; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #262626; --accent: #6cb8e6; --warn: #f0a35e; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); }
th { text-align: start; font-weight: 600; vertical-align: top; } .number { text-align: end; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
img { width: 64px; height: 64px; object-fit: contain; margin: 1px; vertical-align: middle; }
img { outline: 1px solid var(--line); }
.images { white-space: nowrap; }
.name { overflow-wrap: anywhere; } .todo { border-inline-start: 4px solid var(--accent); padding-inline-start: .7rem; }
.refused h3, .not-ready { color: var(--warn); } ul { margin-top: .2rem; list-style: none; padding-inline-start: 1rem; }
.scroll { overflow-x: auto; }
"""
# The browser itself then loads nothing from anywhere.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def as_html(report: Report) -> str:
    """The facts of a report as a page, with thumbnails of classes, duplicates and problems."""
    facts = report.facts
    title = f"{facts['name']}: {facts['images']:,} images"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p class='name'>{_text(facts['source'], 'ltr')}</p>",
        f"<p class='todo{'' if report.ready else ' not-ready'}'>{_text(facts['to_do'])}</p>",
        f"<h2>{suggestion_heading(facts['to_do'])}</h2>",
        f"<pre dir='ltr'>{escape(facts['suggestion']['command'])}</pre>",
        "<h2>Facts</h2>",
        _table([], [[name, text] for name, text in fact_rows(facts)]),
        *_problems(report),
        "<h2>Images</h2>",
        *_contact_sheet(report),
        "<h2>Classes</h2>",
        _class_table(report),
    ]
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n"
        "</html>\n"
    )


def _text(text: str, direction: str = "auto") -> str:
    """A text of any script, which leaves the direction of its surroundings alone. Paths go from left to right."""
    return f"<bdi dir='{direction}'>{escape(printable(text))}</bdi>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A table whose first column names each row. Numbers stand at the right."""
    lines = [f"<tr>{''.join(f'<th scope=col>{escape(name)}</th>' for name in header)}</tr>"] if header else []
    for name, *values in rows:
        cells = [
            f"<td class='number'>{value:,}</td>" if isinstance(value, int) else f"<td class='name'>{_text(value)}</td>"
            for value in values
        ]
        lines.append(f"<tr><th scope=row class='name'>{_text(str(name))}</th>{''.join(cells)}</tr>")
    return f"<div class='scroll'><table>{''.join(lines)}</table></div>"


def _class_table(report: Report) -> str:
    classes = report.facts["classes"]
    names = columns(classes)
    return _table(["class", *names], [[row["name"], *(row[name] for name in names)] for row in classes])


def _contact_sheet(report: Report) -> Iterable[str]:
    samples = sample_classes(report)
    if len(samples) < len(report.facts["classes"]):
        yield f"<p>Some images of {len(samples)} of {len(report.facts['classes']):,} classes.</p>"
    rows = "".join(
        f"<tr><th scope=row class='name'>{_text(name)}</th>"
        f"<td class='images'>{_images(report.examined, members)}</td></tr>"
        for name, members in samples.items()
    )
    yield f"<div class='scroll'><table>{rows}</table></div>" if rows else "<p>No image can be decoded.</p>"


def _problems(report: Report) -> Iterable[str]:
    for heading, refused in (("Problems that preprocess refuses", True), ("Worth a look", False)):
        shown = [problem for problem in report.problems if bool(problem.remedy) == refused]
        if shown:
            yield f"<section class='{'refused' if refused else 'noted'}'><h2>{heading}</h2>"
            for problem in shown:
                yield from _problem(report.examined, problem)
            yield "</section>"


def _problem(examined: Examined, problem: Problem) -> Iterable[str]:
    yield f"<h3>{_text(problem.title)}</h3><ul>"
    for number, example in enumerate(problem.examples):
        rows = problem.rows[number] if problem.rows else []
        pictured = _images(examined, rows) + ("<br>" if len(rows) > 1 else " ") if rows else ""
        # Each name of a group by itself, so that one from right to left does not move the others.
        named = " = ".join(_text(part, "ltr") for part in example.split(" = "))
        yield f"<li>{pictured}<span class='name'>{named}</span></li>"
    yield f"<li>and {problem.more:,} more</li></ul>" if problem.more else "</ul>"


def _images(examined: Examined, rows: Sequence[int]) -> str:
    """Thumbnails, with the names of the files for those who do not see them."""
    return "".join(
        f'<img alt="{(name := escape(printable(examined.items[row].name)))}" title="{name}" src="{_data(image_hwc)}">'
        for row, image_hwc in zip(rows, thumbnails(examined, rows), strict=True)
    )


def _data(image_hwc: np.ndarray) -> str:
    """An image of one or three channels as a data: address. Tiny images stay exact."""
    from PIL import Image

    image, content = Image.fromarray(image_hwc[..., 0] if image_hwc.shape[-1] == 1 else image_hwc), io.BytesIO()
    form = "PNG" if max(image.size) <= 32 else "JPEG"
    image.save(content, form, quality=QUALITY)
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
