"""Chromium as the tests start it."""

from __future__ import annotations

import shutil

from tests.support.processes import INSTALL

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The browser's own errands are not the page's requests, and a test must not wait for the outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of the browser; its absence is a failure, never a skip."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"Chromium is missing: {INSTALL['chromium']}"
    return found
