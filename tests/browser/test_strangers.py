"""Other clients may say anything of themselves; the page shows what can be shown, and goes on."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import socketio
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

COLOUR = re.compile("#[0-9a-f]{6}")
ODD: Any = {"toString": 1}
"""What JavaScript can't turn into a string."""


def at(place: Any) -> dict[str, Any]:
    """Return a cursor whose both ends are there."""
    return {"anchor": place, "head": place}


STATES: list[tuple[Any, str]] = [
    ({}, "Guest"),
    ({"user": None}, "Guest"),
    ({"user": "Bob"}, "Guest"),
    ({"user": ["Bob"]}, "Guest"),
    ({"user": {"name": ODD, "color": ODD}}, "Guest"),
    ({"user": {"name": 7, "color": 7}}, "Guest"),
    ({"user": {"name": " \n\u200b ", "color": "transparent"}}, "Guest"),
    ({"user": {"name": "Bob", "color": "var(--bad)"}}, "Bob"),
    ({"user": {"name": "Bob", "color": "currentcolor"}}, "Bob"),
    ({"user": {"name": "Bob", "color": "#FF000000"}}, "Bob"),
    ({"user": {"name": "\u202eB\u2066o\x07b\r\n", "color": "#fd0"}}, "Bob"),
    ({"user": {"name": "<b>Bob</b>", "color": "red;"}}, "<b>Bob</b>"),
    ({"user": {"name": "🐍" * 900, "color": "#" + "0" * 200}}, "🐍" * 64),
    ({"user": {"name": "Bob"}, "cursor": "here", "arriving": ODD}, "Bob"),
    ({"user": {"name": "Bob"}, "cursor": {"anchor": 1, "head": {"item": ODD}}}, "Bob"),
    ({"user": {"name": "Bob"}, "cursor": at({"tname": ODD})}, "Bob"),
    ({"user": {"name": "Bob"}, "cursor": at({"tname": "another", "type": ODD})}, "Bob"),
    ({"user": {"name": ODD}, "cursor": at({"tname": "code", "assoc": ODD})}, "Guest"),
]
AWRY: list[Any] = [None, 7, "x", [], {}, {"code": 7}, {"message": ODD, "code": ODD}]
PEOPLE = [
    None, 7, "Bob", {}, {"id": ODD, "name": "nobody"}, {"id": "1", "name": ODD, "color": ODD},
    {"id": "2", "name": "\u202eBob\x00", "node": ODD, "color": "var(--bad)"},
]  # fmt: skip
LINE = {"at": "2026-01-01T00:00:00.000Z", "author": None, "delta": [{"insert": "x"}]}
ENTRY = {"at": "2026-01-01T00:00:00.000Z", "author": None}
"""An entry without its update."""


def color_of(person: Locator) -> str:
    return str(person.evaluate("element => element.style.getPropertyValue('--person')"))


def test_whatever_a_client_says_of_itself_is_shown_as_a_name_and_a_color(
    visit: Visit, two_nodes: Nodes, room: str, stranger: Any
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    tom = visit("Tom").enters(two_nodes[0], room, client="plain")
    # Between the first and the second letter of what is theirs.
    nowhere = {"tname": "code", "item": {"client": stranger.types("ab"), "clock": 0.5}}
    ada.sees("ab").code.press("Home")
    states = [*STATES, ({"cursor": at(nowhere)}, "Guest")]
    ada.sees("ab").code.press("Control+Home")  # a caret that is there already may stay behind "ab"
    for state, name in states:
        stranger.says(state)
        shown = ada.page.locator(f"#people li[data-member={json.dumps(name, ensure_ascii=False)}]")
        expect(shown).to_have_count(1)
        expect(shown.locator(".person")).to_have_text(name)
        assert COLOUR.fullmatch(color_of(shown)), state
        ada.types("x").has_state("saved")
    tom.sees("x" * len(states) + "ab")


def test_a_language_that_no_page_knows_is_passed_over(
    visit: Visit, two_nodes: Nodes, room: str, stranger: Any
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    for language in ("constructor", "__proto__", ODD, "java"):
        stranger.chooses(language)
    expect(ada.page.get_by_label("Language")).to_have_value("java")
    expect(ada.notices).to_have_count(0)


def test_whatever_another_service_emits_to_the_room_the_plain_client_goes_on(
    visit: Visit, cluster: Any, two_nodes: Nodes, room: str
) -> None:
    """A service may emit events of its own to a room, and these by mistake."""
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    ada.types("kept").has_state("saved")
    odd: list[Any] = [None, "x", {}, PEOPLE]
    lists = [{"room": room, "members": members} for members in odd]
    events = [("receive", word) for word in AWRY]
    events += [("error", word) for word in [*AWRY, {"message": "m" * 5000, "code": "odd"}]]
    events += [("presence", word) for word in [*AWRY, *lists]]
    cluster.run(emit(cluster.redis_url, room, events))
    expect(ada.people).to_have_text([re.compile("Bob"), re.compile("Guest")])
    for person in ada.people.all():
        assert COLOUR.fullmatch(color_of(person))
    notice = ada.page.locator(".notice[data-code=odd]")
    expect(notice).to_have_text(re.compile("^m{300}$"))
    ada.types("!").has_state("saved")
    ada.sees("kept!")


async def emit(url: str, room: str, events: list[tuple[str, Any]]) -> None:
    manager = socketio.AsyncRedisManager(url, write_only=True)
    for event, payload in events:
        await manager.emit(event, payload, room=room)
    await manager.redis.aclose()


def test_odd_authors_of_a_history_are_shown_as_far_as_they_can_be(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    authors: list[Any] = [
        None,
        ODD,
        "Ada",
        {"id": ODD, "name": ODD},
        {"id": "7", "name": "\u202eAda\x00"},
    ]
    eve = visit("Eve")
    eve.gets_history(
        [{"base": "", "entries": len(authors)}, *({**LINE, "author": a} for a in authors)]
    )
    eve.plays_back(two_nodes[0], room)
    legend = eve.page.get_by_role("list", name="Who typed").locator(".person")
    expect(legend).to_have_text(["Several people", "Ada"])
    eve.sees("xxxxx")


@pytest.mark.parametrize(
    "line",
    [
        7, "x", {**LINE, "at": "then"}, ENTRY, {**ENTRY, "update": None}, {**ENTRY, "update": 7},
        {**ENTRY, "update": "not base64!"}, {**ENTRY, "update": ODD},
    ],
    ids=str,
)  # fmt: skip
def test_a_history_that_is_none_is_said_to_be_none(
    visit: Visit, two_nodes: Nodes, room: str, line: Any
) -> None:
    eve = visit("Eve")
    eve.gets_history([{"base": "", "entries": 1}, line])
    eve.page.goto(f"{two_nodes[0]}/?room={room}&playback")
    expect(eve.notices).to_contain_text("could not be understood")


def test_an_update_that_can_not_be_applied_is_skipped(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    """As every node skips it."""
    update = base64.b64encode(b"not an update").decode()
    eve = visit("Eve")
    eve.gets_history([{"base": "", "entries": 3}, LINE, {**ENTRY, "update": update}, LINE])
    eve.plays_back(two_nodes[0], room).sees("xx")
