"""The page in a frame of another site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import STATE_TIMEOUT, Cluster

pytestmark = pytest.mark.timeout(60)

Visit = Callable[..., Any]


class Site:
    """Another site: a server whose page embeds the address in its own query."""

    def __init__(self) -> None:
        self.origin = ""

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "localhost", 0)
        self.origin = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        body = (
            b'<!doctype html><link rel="icon" href="data:,"><iframe src="%s"></iframe>'
            % (target.partition(b"?embed=")[2])
        )
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        writer.close()


@pytest.fixture
def site(cluster: Cluster) -> Iterator[Site]:
    there = Site()
    server = cluster.run(there.start())
    yield there
    cluster.run(_close(server))


async def _close(server: asyncio.Server) -> None:
    server.close()


def test_a_site_of_the_setting_embeds_the_page_also_where_no_other_origin_may_connect(
    cluster: Cluster, visit: Visit, site: Site, room: str
) -> None:
    url = cluster.start_node("framed", COLLAB_FRAME_ANCESTORS=site.origin, COLLAB_API_KEY="a key")
    ada, bob = visit("Ada"), visit("Bob")
    ada.page.goto(f"{site.origin}/?embed={url}/?room={room}")
    frame = ada.page.frame_locator("iframe")
    badge = frame.locator('#badge[data-state="connected"], #badge[data-state="saved"]')
    expect(badge).to_be_attached(timeout=STATE_TIMEOUT)
    frame.get_by_role("textbox", name="Shared code").press_sequentially("from a frame")
    bob.enters(url, room).sees("from a frame")


def test_the_ways_on_work_in_a_frame_which_has_no_clipboard(
    cluster: Cluster, visit: Visit, site: Site, room: str
) -> None:
    """Here of a room that takes no more changes, though its text is short."""
    settings = {"COLLAB_FRAME_ANCESTORS": site.origin, "COLLAB_MAX_DOCUMENT_STRUCTS": "3"}
    url = cluster.start_node("worn", **settings)
    ada = visit("Ada")
    ada.page.goto(f"{site.origin}/?embed={url}/?room={room}")
    frame = ada.page.frame_locator("iframe")
    badge = frame.locator('#badge[data-state="connected"], #badge[data-state="saved"]')
    expect(badge).to_be_attached(timeout=STATE_TIMEOUT)  # before, the editor takes no letters
    code = frame.get_by_role("textbox", name="Shared code")
    for letter in "edcba":
        code.press("Home")
        code.press_sequentially(letter)
    trouble = frame.get_by_role("region", name="Trouble")
    expect(trouble.get_by_role("alert")).to_contain_text("This room cannot take more changes.")
    trouble.get_by_role("button", name="Copy my text").click()
    expect(trouble).to_contain_text("Copied")
    frame.get_by_role("button", name="Room:").click()
    frame.get_by_label("Open a room").press("Control+v")
    expect(frame.get_by_label("Open a room")).to_have_value("abcde")
    frame.get_by_label("Open a room").press("Escape")
    trouble.get_by_role("button", name="Go on in a new room").click()
    expect(frame.get_by_role("button", name=room)).to_have_count(0)
    expect(frame.locator(".cm-line")).to_have_text("abcde")
    # The page has asked for the clipboard first, and the browser complained.
    assert any("Clipboard API has been blocked" in each for each in ada.failures)
    ada.failures.clear()


def test_no_other_site_embeds_the_page(
    cluster: Cluster, visit: Visit, site: Site, room: str
) -> None:
    url = cluster.start_node("unframed", COLLAB_FRAME_ANCESTORS="http://other.example")
    mallory = visit("Mallory")
    with mallory.page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        mallory.page.goto(f"{site.origin}/?embed={url}/?room={room}")
    expect(mallory.page.frame_locator("iframe").locator("#badge")).to_have_count(0)
    assert not any("/socket.io/" in each or "/yjs/" in each for each in mallory.requests)
    mallory.failures.clear()  # the browser complained, as it should
