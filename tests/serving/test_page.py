"""The page of `cct serve` in headless Chromium."""

import io
import re
from typing import Any

import keras
import numpy as np
import pytest
from brightness import bright_probability, brightness_model
from browsers import browser, require_browser
from patience import HUNG_S
from PIL import Image
from served import served
from small_models import attention_model
from text_models import FACTS as TEXT_FACTS
from text_models import META, model_params

import cct
from cct.models.saving import save_model
from cct.tasks.text_classification.inference import NO_KNOWN_WORD
from cct.tasks.text_classification.training import build

pytestmark = pytest.mark.services
SIZES = {"phone": (360, 740), "desktop": (1200, 900)}
DROP = """([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name));
  document.body.dispatchEvent(new DragEvent('dragover', {dataTransfer: data, bubbles: true, cancelable: true}));
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""
PASTE = """([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
}"""


def picture(kind: str, value: int = 255) -> bytes:
    Image.new("RGB", (60, 40), (value,) * 3).save(file := io.BytesIO(), kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def chromium():
    require_browser()
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with served(attention_model(folder / "model.keras"), folder) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A server whose model has known answers, and no attention."""
    folder = tmp_path_factory.mktemp("plain")
    with served(brightness_model(folder / "model.keras"), folder) as running:
        yield running


class Opened:
    """The page, with all that it asked for and all its errors."""

    def __init__(self, chromium, port: int, size: str = "desktop", scheme: str = "light") -> None:
        width, height = SIZES[size]
        # Without motion, a style has its value at once, also in a page that a loaded machine does not paint.
        self.page = chromium.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page.bring_to_front()
        self.page.set_default_timeout(1000 * HUNG_S)
        self.asked, self.errors = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"http://127.0.0.1:{port}/")
        self.wait("() => document.getElementById('facts').textContent.includes('2 classes')")

    def wait(self, condition: str, arg: Any = None) -> None:
        """Wait for a condition. By the clock: Playwright's default waits for paintings, and a hidden page has none."""
        self.page.wait_for_function(condition, arg=arg, polling=50)

    def choose(self, content: bytes, name: str = "a.png") -> None:
        self.page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})

    def colour(self, selector: str) -> str:
        return self.page.eval_on_selector(selector, "element => getComputedStyle(element).backgroundColor")

    def shows(self, text: str) -> None:
        self.wait("text => document.body.innerText.includes(text)", arg=text)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_image_has_its_classes_and_its_heat_map(chromium, server, size, scheme):
    opened = Opened(chromium, server.port, size, scheme)
    page = opened.page
    opened.choose(picture("PNG"))
    page.locator("#heat-controls").wait_for()
    assert page.locator("#bars li").count() == 2
    shares = page.eval_on_selector_all(
        "#bars i", "bars => bars.map(bar => parseFloat(bar.style.getPropertyValue('--share')))"
    )
    assert sum(shares) == pytest.approx(100, abs=0.01) and shares == sorted(shares, reverse=True)
    assert page.eval_on_selector("#heat", "canvas => [canvas.height, canvas.width]") == [4, 3]
    assert [text.strip() for text in page.locator("#layer option").all_inner_texts()] == [
        "the whole model", "layer 2", "pooling",
    ]  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    dark = sum(map(int, re.findall(r"\d+", opened.colour("body"))[:3])) < 200
    assert dark == (scheme == "dark")
    addresses = {re.match(r"\w+:/*[^/]*", url)[0] for url in opened.asked if not url.startswith(("data:", "blob:"))}
    assert addresses == {f"http://127.0.0.1:{server.port}"} and not opened.errors
    page.close()


def test_it_works_by_keyboard_alone(chromium, server):
    opened = Opened(chromium, server.port)
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Choose an image"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"  # the focus can be seen
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": picture("PNG")})
    page.locator("#heat-controls").wait_for()
    assert page.evaluate("getComputedStyle(document.getElementById('heat')).opacity") != "0"
    for wanted in ("Choose another", ""):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == wanted
    assert page.evaluate("document.activeElement.id") == "show"
    page.keyboard.press("Space")
    opened.wait("() => getComputedStyle(document.getElementById('heat')).opacity === '0'")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "layer"
    drawn = "document.getElementById('heat').toDataURL()"
    before = page.evaluate(drawn)
    page.keyboard.press("ArrowDown")
    opened.wait(f"before => {drawn} !== before", arg=before)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strength"
    opacity = page.evaluate("document.getElementById('heat').style.opacity")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getElementById('heat').style.opacity") > opacity
    page.close()


@pytest.mark.parametrize("way", [DROP, PASTE], ids=["dropped", "pasted"])
def test_an_image_is_dropped_or_pasted(chromium, plain, way):
    opened = Opened(chromium, plain.port)
    for value, label in ((255, "bright"), (0, "dark")):
        opened.page.evaluate(way, [list(picture("PNG", value)), f"{label}.png"])
        opened.shows(f"{label}.png")
        opened.wait("label => document.getElementById('label').innerText === label", arg=label)
    p = 1 - bright_probability(0)
    assert opened.page.inner_text("#probability") == f"{p:.1%}".replace("%", " %")
    assert not opened.errors
    opened.page.close()


def test_what_is_no_image_is_said_and_the_next_one_works(chromium, plain):
    opened = Opened(chromium, plain.port)
    opened.choose(b"text", "notes.txt")
    opened.shows("notes.txt: not an image")
    assert (
        opened.page.locator("#error").get_attribute("role") == "alert"
        and not opened.page.locator("#result").is_visible()
    )
    opened.choose(picture("PNG"))
    opened.page.locator("#result").wait_for()
    assert not opened.page.locator("#error").is_visible()
    opened.shows("nothing shows what the model looked at: the model has no attention")
    opened.page.close()


def test_an_image_that_the_browser_cannot_show_is_shown_as_the_model_sees_it(chromium, server):
    opened = Opened(chromium, server.port)
    opened.choose(picture("TIFF"), "a.tif")
    opened.page.locator("#heat-controls").wait_for()
    opened.wait("() => document.getElementById('image').naturalHeight === 8")
    opened.page.close()


def test_after_another_image_it_is_shown_too(chromium, server):
    """The image before has a heat map, and with it what the model saw."""
    opened = Opened(chromium, server.port)
    opened.choose(picture("PNG", 255), "a.png")
    opened.page.locator("#heat-controls").wait_for()
    before = opened.page.evaluate("document.getElementById('seen').src")
    opened.choose(picture("TIFF", 0), "b.tif")
    opened.wait("before => !['', before].includes(document.getElementById('seen').src)", arg=before)
    opened.wait("() => document.getElementById('image').src === document.getElementById('seen').src")
    opened.page.close()


def test_names_from_a_file_or_a_model_are_text(chromium, tmp_path):
    classes = ["<img src=x onerror=alert(1)>", "b" * 200]
    with served(brightness_model(tmp_path / "model.keras", classes=classes), tmp_path) as server:
        opened = Opened(chromium, server.port, "phone")
        opened.choose(picture("PNG", 0), "<b>a</b>.png")
        opened.page.locator("#result").wait_for()
        assert opened.page.inner_text("#label") == classes[0] and opened.page.inner_text("#name") == "<b>a</b>.png"
        assert opened.page.locator("#bars img").count() == 0
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
        opened.page.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_text_has_its_classes_and_its_marked_words(chromium, tmp_path, size):
    keras.utils.set_random_seed(4)
    save_model(build(model_params(), META, tmp_path), tmp_path / "model.keras", facts=TEXT_FACTS)
    text = "the film was <b>good</b>"
    with served(tmp_path / "model.keras", tmp_path) as server:
        opened = Opened(chromium, server.port, size)
        page = opened.page
        opened.wait("() => document.activeElement.id === 'text'")
        page.keyboard.type(text)
        page.keyboard.press("Control+Enter")
        page.locator("#heat-controls").wait_for()
        found = cct.load(tmp_path / "model.keras").explain(text)
        ((label, p),) = found.predictions.top(1)[0]
        assert page.inner_text("#label") == label and page.inner_text("#probability") == f"{100 * p:.1f} %"
        assert page.inner_text("#words").split() == text.split() and not page.locator("#words b").count()
        assert not page.locator("#seen").is_visible() and not page.locator("#show").is_visible()
        shares = page.eval_on_selector_all(
            "#words span", "words => words.map(word => parseFloat(word.style.getPropertyValue('--share')))"
        )
        pooling = found.attention.pooling_bn[0, :4]
        assert shares == pytest.approx((pooling / pooling.max()).tolist(), abs=1e-4)
        assert NO_KNOWN_WORD not in page.inner_text("body")
        page.fill("#text", "Guten Tag")
        page.keyboard.press("Control+Enter")
        opened.shows(f"The model is unsure: {NO_KNOWN_WORD}.")
        page.fill("#text", "")
        page.keyboard.press("Control+Enter")
        opened.shows("text 0: empty")
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0] and not opened.errors
        page.close()


def test_a_server_that_has_ended_is_said(chromium, tmp_path):
    with served(brightness_model(tmp_path / "model.keras"), tmp_path) as server:
        opened = Opened(chromium, server.port)
    opened.choose(picture("PNG"))
    opened.shows("The server does not answer.")
    opened.page.close()


def test_the_interface_is_a_page_without_scripts(chromium, plain):
    page = chromium.new_page(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{plain.port}/docs")
    text = page.inner_text("body")
    assert all(path in text for path in ("/predict", "/explain", "/health", "/model", "/metrics", "?top=5"))
    assert {url for url in asked if not url.startswith("data:")} == {f"http://127.0.0.1:{plain.port}/docs"}
    page.close()


def test_the_picture_in_the_documentation_is_of_this_page():
    """Its size is that of the page at twice the pixels of a phone or more, and it is small."""
    from clones import ROOT

    path = ROOT / "docs/images/serve.png"
    with Image.open(path) as image:
        assert image.width >= 800 and len(np.unique(np.asarray(image.convert("L")))) > 50
    assert path.stat().st_size < 300_000
