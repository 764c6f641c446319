"""The page in a frame of another site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import STATE_TIMEOUT, Cluster, Person

pytestmark = pytest.mark.timeout(60)

Visit = Callable[..., Any]
SITE = "http://site.example"
"""A site that exists in the test's browser alone."""


def open_site(person: Person, url: str, room: str) -> None:
    """Open a page of the site, which embeds the room's page."""
    body = f'<!doctype html><iframe src="{url}/?room={room}" width="900" height="600"></iframe>'
    person.page.route(f"{SITE}/", lambda route: route.fulfill(body=body, content_type="text/html"))
    person.page.goto(f"{SITE}/")


def test_a_site_of_the_setting_embeds_the_page_also_where_no_other_origin_may_connect(
    cluster: Cluster, visit: Visit, room: str
) -> None:
    url = cluster.start_node("framed", COLLAB_FRAME_ANCESTORS=SITE, COLLAB_API_KEY="a key")
    ada, bob = visit("Ada"), visit("Bob")
    open_site(ada, url, room)
    frame = ada.page.frame_locator("iframe")
    expect(
        frame.locator('#badge[data-state="connected"], #badge[data-state="saved"]')
    ).to_be_attached(timeout=STATE_TIMEOUT)
    frame.get_by_role("textbox", name="Shared code").press_sequentially("from a frame")
    bob.enters(url, room).sees("from a frame")


def test_no_other_site_embeds_the_page(cluster: Cluster, visit: Visit, room: str) -> None:
    url = cluster.start_node("unframed", COLLAB_FRAME_ANCESTORS="http://other.example")
    mallory = visit("Mallory")
    with mallory.page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        open_site(mallory, url, room)
    expect(mallory.page.frame_locator("iframe").locator("#badge")).to_have_count(0)
    assert not any("/socket.io/" in each or "/yjs/" in each for each in mallory.requests)
    mallory.failures.clear()  # the browser complained, as it should
