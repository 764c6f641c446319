"""Chromium as the tests start it."""

from __future__ import annotations

import shutil

from tests.support.processes import INSTALL

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The browser must not make requests of its own: a test must not depend on other hosts.
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
    """Return the path of the browser; if it is missing, the test fails and is not skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"Chromium is missing: {INSTALL['chromium']}"
    return found
