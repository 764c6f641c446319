"""The page at a node that asks for tokens: it is given one in the fragment of its address."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.tokens import token

pytestmark = pytest.mark.timeout(60)

Visit = Callable[..., Any]
WARNING = 60
"""Seconds before the end of a token at which the page is told so."""
CLIENTS = pytest.mark.parametrize("client", ["", "&client=plain"])


def enter(person: Any, url: str, room: str, shown: str, client: str = "") -> Any:
    person.page.goto(f"{url}/?room={room}{client}#token={shown}")
    return person.has_state("connected", "saved")


def give(person: Any, shown: str) -> None:
    """Give the page a new token, as a page that embeds it does."""
    person.page.evaluate(f"location.hash = 'token={shown}'")


@CLIENTS
def test_a_token_lets_in_and_is_seen_in_no_address(
    visit: Visit, closed_node: str, room: str, client: str
) -> None:
    ada, shown = visit("Somebody Else"), token("ada", rooms=[room])
    enter(ada, closed_node, room, shown, client)
    ada.types("hello").has_state("saved")
    assert ada.page.url == f"{closed_node}/?room={room}{client}"
    assert ada.page.evaluate("history.length") <= 2  # about:blank, and the page
    eve = enter(visit("Eve"), closed_node, room, token("eve"))
    eve.sees("hello")
    expect(eve.people).to_have_count(2)
    expect(eve.page.get_by_role("list", name="People in this room")).to_contain_text("Ada")
    asked = [url for url in ada.requests if shown in url]
    assert all(url.startswith("ws") and "/yjs/" in url for url in asked)
    ada.page.reload()
    ada.has_state("connected", "saved")
    ada.sees("hello")
    ada.page.goto(f"{closed_node}/?room={room}&playback")
    expect(ada.page.get_by_role("list", name="Who typed")).to_contain_text("Ada")


@CLIENTS
def test_without_a_token_the_page_says_so_and_goes_on_when_it_is_given_one(
    visit: Visit, closed_node: str, room: str, client: str
) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{closed_node}/?room={room}{client}")
    expect(ada.trouble).to_contain_text("This room needs an invitation.")
    give(ada, token("ada"))
    ada.has_state("connected")
    expect(ada.trouble).to_be_hidden()
    ada.types("in").has_state("saved")
    # When CONNECT is refused the client has a poll under way: its session is ending, or gone.
    ended = ("status of 400", "status of 404")
    ada.failures[:] = [each for each in ada.failures if not any(word in each for word in ended)]


@CLIENTS
def test_a_token_that_runs_out_is_renewed_without_a_reload(
    visit: Visit, closed_node: str, room: str, client: str
) -> None:
    ada = visit("Ada")
    enter(ada, closed_node, room, token("ada", exp=time.time() + WARNING + 2), client)
    expect(ada.notices).to_contain_text("Your access to this room ends in")
    ada.page.evaluate("window.isTheSame = true")
    give(ada, token("ada"))
    expect(ada.notices).to_have_count(0)
    ada.types("still here").has_state("saved")
    assert ada.page.evaluate("window.isTheSame")


def test_a_history_is_not_shown_without_a_token(visit: Visit, closed_node: str, room: str) -> None:
    eve = visit("Eve")
    eve.page.goto(f"{closed_node}/?room={room}&playback")
    expect(eve.notices).to_contain_text("may not read this history")
    eve.failures.clear()  # the browser complains of the status
