"""The built documentation is complete, and loads nothing from other addresses."""

import functools
import html.parser
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import browsers
import pytest
from browsers import require_browser
from clones import ROOT

pytestmark = pytest.mark.docs
# What a browser fetches by itself; the target of a link is the reader's choice.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset", "video": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


class Fetches(html.parser.HTMLParser):
    """The addresses that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev"):
            return
        self.addresses += filter(None, [values.get(FETCHED.get(tag, ""))])


def test_every_page_of_docs_is_built(site):
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / page.with_suffix(".html").name).is_file()


def test_no_page_names_an_outside_address(site):
    pages = sorted(site.glob("**/*.html"))
    assert len(pages) > 15
    for page in pages:
        parser = Fetches()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.addresses
        for address in parser.addresses:
            assert not re.match(r"(\w+:)?//", address), f"{page.name}: {address}"
            if address.startswith(("#", "data:")):
                continue
            assert page.name == "404.html" or (page.parent / address.partition("?")[0]).is_file(), address
    for style in site.glob("**/*.css"):
        assert not re.findall(r"url\(['\"]?(?:\w+:)?//[^)]*\)|@import", style.read_text(encoding="utf-8")), style


@pytest.fixture(scope="module")
def browser():
    require_browser()
    with browsers.browser() as made:
        yield made


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("width", [400, 1400], ids=["narrow", "wide"])
def test_a_browser_asks_no_outside_address_and_nothing_is_wider_than_the_window(browser, address, site, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in sorted(site.glob("*.html")):
        page.goto(f"{address}/{path.name}", wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
    assert {re.match(r"\w+://[^/]*", url)[0] for url in asked if not url.startswith(("data:", "blob:"))} == {address}
    assert not errors
    page.close()


def test_the_diagram_of_the_stages_is_drawn(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/how-it-works.html", wait_until="networkidle")
    # Material draws into a closed shadow root, so that only the size of its host can be seen.
    page.wait_for_function("document.querySelector('div.mermaid')?.getBoundingClientRect().height > 100")
    page.close()


def test_the_search_finds_a_message(browser, address):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{address}/index.html", wait_until="networkidle")
    page.get_by_role("textbox", name="Search").click()
    page.get_by_role("textbox", name="Search").press_sequentially("cct verify")
    page.locator(".md-search-result__item a").first.wait_for()
    assert "repeatability.html" in page.locator(".md-search-result__list").inner_html()
    page.close()
