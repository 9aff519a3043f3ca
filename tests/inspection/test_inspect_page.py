"""The page and the contact sheet hold every name, and the page needs nothing but itself."""

import html.parser
import re

import matplotlib.font_manager
import numpy as np
import pytest
from inspected import ODD_NAMES, inspected, make_folder, problems
from PIL import Image

from cct.evaluation.figures.style import fallback_fonts
from cct.inspection.page import as_html
from cct.inspection.sheet import MAX_CLASSES, plot_contact_sheet, sample_classes
from cct.inspection.text import as_text

VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """Collects text and attributes, and requires that tags are closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture
def odd(tmp_path):
    """Classes and files with awkward names, and problems among them."""
    folder = make_folder(tmp_path / "<odd> & 'data'", {name: 5 for name in ODD_NAMES})
    for name in ODD_NAMES:
        (folder / name / '"><script>alert(1).png').write_bytes(b"")
        (folder / name / "بيت.png").write_bytes((folder / name / "0.png").read_bytes())
    return inspected(folder, tmp_path)


def test_the_page_has_every_name_and_no_outside_address(odd):
    text = as_html(odd)
    page = Page(text)
    shown = "".join(page.text)
    for name in ODD_NAMES:
        assert name in shown
    assert '"><script>alert(1).png: empty' in shown and "بيت.png" in shown
    assert not page.tags & {"script", "link", "iframe", "object", "b", "base", "a"}
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert addresses and all(re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", one) for one in addresses)
    assert not any(name.startswith("on") or name == "style" for _, name, _ in page.attributes)
    outside = re.findall(r"(?:https?:)?//\w|url\(|@import", re.sub(r"base64,[^\"]*", "", text))
    assert not outside
    assert ("meta", "charset", "utf-8") in page.attributes


def test_the_page_has_the_facts_and_the_thumbnails(odd):
    page = Page(as_html(odd))
    shown, facts = " ".join(page.text), odd.facts
    for value in (facts["to_do"], facts["suggestion"]["command"], *(problem["title"] for problem in facts["problems"])):
        assert value in shown
    found = problems(odd)
    pictured = sum(len(rows) for problem in odd.problems for rows in problem.rows)
    sampled = sum(map(len, sample_classes(odd).values()))
    assert len([1 for tag, name, _ in page.attributes if (tag, name) == ("img", "src")]) == pictured + sampled
    assert not found["bad_images"].rows and len(found["exact_duplicates"].rows) == 5
    assert {value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")} > {"قطة/0.png"}


def test_the_page_of_undecodable_images_has_none(tmp_path):
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "x.png").write_bytes(b"")
    report = inspected(tmp_path / "data", tmp_path)
    assert "No image can be decoded" in "".join(Page(as_html(report)).text)
    assert plot_contact_sheet(report).texts[0].get_text() == "No image can be decoded"
    assert as_text(report.facts).splitlines()[-1].startswith("To do")


def test_names_of_any_bytes_are_escaped(tmp_path):
    folder = make_folder(tmp_path / "data", {"a": 5, "b": 5})
    for name in (b"line\nfeed.png", b"\xff.png"):
        with open(bytes(folder / "a") + b"/" + name, "wb"):
            pass
    report = inspected(folder, tmp_path)
    for text in ("".join(Page(as_html(report)).text), as_text(report.facts)):
        assert r"a/line\nfeed.png: empty" in text and r"a/\udcff.png: empty" in text
        text.encode()


def test_the_sheet_has_a_row_for_each_class(odd):
    figure = plot_contact_sheet(odd)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == 5 and "Löwe & Käfer\n6" in labels and "قطة\n6" in labels
    height, width = figure.axes[0].get_images()[0].get_array().shape[:2]
    assert (height, width) == (5 * 68, 8 * 68 - 4)


@pytest.mark.parametrize("name", ["W" * 30, "大熊猫" * 7, "i" * 30, "cat"])
def test_the_names_fit_the_sheet_and_leave_no_blank_band(name, tmp_path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot_contact_sheet(inspected(make_folder(tmp_path / "data", {name: 8, "Löwe & Käfer": 5}), tmp_path))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., :3].min(axis=2) < 250
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    assert 3 <= columns[0] <= 12 and shown.shape[1] - 12 <= columns[-1]
    assert 3 <= rows[0] <= 12 and shown.shape[0] - 14 <= rows[-1] and np.diff(rows).max() <= 16


def test_classes_without_a_font_are_numbered(odd, monkeypatch):
    bundled = [font for font in matplotlib.font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(matplotlib.font_manager.fontManager, "ttflist", bundled)
    assert fallback_fonts("aقطة猫") == (["DejaVu Sans"], {"猫"})
    figure = plot_contact_sheet(odd)
    number = odd.examined.classes.index("猫") + 1
    assert f"class {number}\n6" in [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert "inspect.html" in figure.get_suptitle()


def test_letters_that_the_bundled_font_lacks_come_from_another():
    """STIX comes with Matplotlib too, and has a letter that DejaVu Sans has not."""
    from matplotlib.font_manager import findfont, get_font

    own, other = (set(get_font(findfont(name)).get_charmap()) for name in ("DejaVu Sans", "STIXGeneral"))
    letter = chr(min(code for code in other - own if chr(code).isprintable() and code > 255))
    families, missing = fallback_fonts(f"a{letter}")
    assert families[0] == "DejaVu Sans" and len(families) == 2 and not missing


def test_many_classes_are_sampled(tmp_path):
    report = inspected(make_folder(tmp_path / "data", {f"c{number:02}": 3 for number in range(45)}), tmp_path)
    assert len(sample_classes(report)) == MAX_CLASSES and next(iter(sample_classes(report))) == "c00"
    assert "20 of 45 classes" in plot_contact_sheet(report).get_suptitle()
    assert "and 5 more classes" in as_text(report.facts) and ">c44<" in as_html(report)
    rows = plot_contact_sheet(report).axes[0].get_images()[0].get_array()
    assert Image.fromarray(rows).size == (8 * 68 - 4, 20 * 68)
