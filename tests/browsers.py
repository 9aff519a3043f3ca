"""The browser in which tests look at pages."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def require_browser() -> None:
    """Skip a test where Chromium or playwright is not installed."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed (make setup EXTRA=services)")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield made
        made.close()
