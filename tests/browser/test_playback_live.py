"""Playback and the live room: it goes on with the room, and an earlier text can be put back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from playwright.sync_api import expect
from pycrdt import Doc, Text

from tests.browser.conftest import Cluster, wire_to
from tests.support.tokens import token

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]


def edits(person: Any) -> int:
    return int(person.page.locator("#reel").get_attribute("data-edits"))


def live(person: Any) -> Any:
    return person.page.get_by_role("button", name="Live")


def restore(person: Any) -> Any:
    return person.page.get_by_role("button", name="Restore this version")


def confirm(person: Any) -> Any:
    return person.page.get_by_role("button", name="Restore for everybody")


def puts(person: Any, url: str, room: str, text: str) -> None:
    assert person.page.request.put(f"{url}/api/rooms/{room}", data={"code": text}).ok


def test_at_its_end_it_goes_on_with_the_room(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.types("one").has_state("saved")
    eve = visit("Eve").plays_back(two_nodes[1], room)
    bob = visit("Bob").plays_back(two_nodes[1], room)
    eve.sees("one")
    expect(live(eve)).to_have_attribute("aria-pressed", "true")
    bob.page.keyboard.press("Home")
    expect(live(bob)).to_have_attribute("aria-pressed", "false")
    before = edits(bob)
    ada.types(" two").has_state("saved")
    eve.sees("one two")
    expect(eve.page.locator("#clock")).to_contain_text(f"edit {edits(eve)} of {edits(eve)}")
    # Whoever looks at the past stays there, and can go further.
    expect(bob.page.locator("#clock")).to_contain_text("before the first edit")
    bob.page.wait_for_function(
        "before => document.querySelector('#reel').dataset.edits > before", arg=before
    )
    bob.sees("")
    live(bob).click()
    bob.sees("one two")
    expect(live(bob)).to_have_attribute("aria-pressed", "true")
    for person in (eve, bob):
        asked = [url for url in person.requests if "/history?" in url]
        assert len(asked) > 1 and all("after=" in url for url in asked[1:])
        assert person.page.evaluate("performance.navigation.type") == 0, "it was not loaded again"


def test_it_begins_with_a_room_that_nobody_has_typed_in(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    eve = visit("Eve")
    eve.page.goto(f"{two_nodes[1]}/?room={room}&playback")
    expect(eve.page.get_by_text("Nothing has been typed here yet")).to_be_visible()
    visit("Ada").enters(two_nodes[0], room).types("now").has_state("saved")
    eve.sees("now")
    expect(eve.notices).to_have_count(0)
    eve.failures.clear()  # the browser reports the answers 404


def test_a_hidden_tab_asks_for_nothing(visit: Visit, two_nodes: Nodes, room: str) -> None:
    eve = visit("Eve")
    puts(eve, two_nodes[0], room, "before")
    eve.plays_back(two_nodes[0], room)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    eve.page.evaluate(hide, arg=True)
    eve.page.wait_for_timeout(200)  # for a question that was under way
    asked = len(eve.requests)
    puts(eve, two_nodes[0], room, "after")
    eve.page.wait_for_timeout(1800)  # longer than the pause between two questions
    assert len(eve.requests) == asked
    eve.page.evaluate(hide, arg=False)
    eve.sees("after")


def test_a_version_is_restored_and_what_others_type_meanwhile_stays(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    for line in ("keep\n", "lose 🐍\n", "keep too"):
        ada.types(line).has_state("saved")
    puts(ada, two_nodes[0], room, "keep\nkeep too")
    ada.sees("keep\nkeep too")
    eve = visit("Eve").plays_back(two_nodes[1], room)
    expect(restore(eve)).to_be_disabled()  # this is how the text is
    eve.page.keyboard.press("ArrowLeft")
    eve.sees("keep\nlose 🐍\nkeep too")
    restore(eve).click()
    asking = eve.page.get_by_role("dialog", name="Restore this version?")
    expect(asking).to_contain_text("adds 8 letters, in one place")
    ada.code.press("Control+End")
    ada.types(" and more").has_state("saved")
    # Twice clicked is once: the second finds no dialog.
    confirm(eve).dblclick()
    expect(eve.page.get_by_text("Restored: everybody in the room")).to_be_visible()
    ada.sees("keep\nlose 🐍\nkeep too and more")
    eve.sees("keep\nlose 🐍\nkeep too and more")
    legend = eve.page.get_by_role("list", name="Who typed")
    expect(legend).to_contain_text("Eve8")
    ada.code.press("Control+Home")
    ada.types("more ").has_state("saved")
    eve.page.get_by_role("button", name="Undo").click()
    ada.sees("more keep\nkeep too and more")
    eve.page.get_by_role("button", name="Close", exact=True).click()
    expect(ada.people).to_have_count(1)


def test_a_restoration_can_be_called_off(visit: Visit, two_nodes: Nodes, room: str) -> None:
    eve = visit("Eve")
    for text in ("one", "one two"):
        puts(eve, two_nodes[0], room, text)
    eve.plays_back(two_nodes[1], room).page.keyboard.press("ArrowLeft")
    for refuse in ("Cancel", None):
        restore(eve).click()
        expect(confirm(eve)).to_be_visible()
        if refuse:
            eve.page.get_by_role("button", name=refuse).click()
        else:
            eve.page.keyboard.press("Escape")
        expect(confirm(eve)).to_be_hidden()
    eve.page.wait_for_function(
        "async path => (await (await fetch(path)).json()).members.length === 0",
        arg=f"/api/rooms/{room}",
    )
    assert eve.page.request.get(f"{two_nodes[0]}/api/rooms/{room}").json()["code"] == "one two"


def test_a_viewer_restores_nothing(
    visit: Visit, two_nodes: Nodes, viewers_node: str, closed_node: str, room: str
) -> None:
    ada = visit("Ada")
    for text in ("one", "one two"):
        puts(ada, two_nodes[0], room, text)
    vic = visit("viewer Vic")
    vic.page.goto(f"{viewers_node}/?room={room}&playback#token=viewer+Vic")
    vic.sees("one two")
    vic.page.keyboard.press("ArrowLeft")
    restore(vic).click()
    confirm(vic).click()
    expect(vic.notices).to_contain_text("Nothing was changed")
    expect(restore(vic)).to_be_disabled()
    ada.enters(two_nodes[0], room).sees("one two")
    # Where the token says it, it is known before.
    eve = visit("Eve")
    shown = token("eve", role="viewer")
    eve.page.goto(f"{closed_node}/?room={room}&playback#token={shown}")
    eve.sees("one two")
    eve.page.keyboard.press("ArrowLeft")
    expect(restore(eve)).to_be_disabled()
    expect(restore(eve)).to_have_attribute("title", "You may only look at this room")
    eve.page.wait_for_url("**&at=*")
    assert shown not in eve.page.url
    assert not [url for url in eve.requests if shown in url]


def test_of_a_room_that_has_ended_the_text_can_be_copied_and_downloaded(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    eve = visit("Eve", permissions=["clipboard-read", "clipboard-write"], accept_downloads=True)
    for text in ("one", "one two"):
        puts(eve, two_nodes[0], room, text)
    eve.plays_back(two_nodes[1], room).page.keyboard.press("ArrowLeft")
    expect(restore(eve)).to_be_enabled()
    assert eve.page.request.delete(f"{two_nodes[0]}/api/rooms/{room}").ok
    expect(eve.page.get_by_text("This room has ended")).to_be_visible()
    expect(restore(eve)).to_be_disabled()
    eve.page.get_by_role("button", name="Copy this text").click()
    expect(eve.page.get_by_role("button", name="Text copied")).to_be_visible()
    assert eve.page.evaluate("navigator.clipboard.readText()") == "one"
    with eve.page.expect_download() as saving:
        eve.page.get_by_role("button", name="Download").click()
    assert saving.value.path().read_text() == "one"
    assert saving.value.suggested_filename.startswith(room)
    # A later room of that name is another room.
    puts(eve, two_nodes[0], room, "anew")
    expect(eve.page.get_by_text("This room has ended")).to_be_hidden()
    live(eve).click()
    eve.sees("anew")
    eve.failures.clear()  # the browser reports the answers 404


def test_a_history_that_was_shortened_is_begun_again(
    visit: Visit, cluster: Cluster, room: str
) -> None:
    url = cluster.start_node("s", COLLAB_MAX_JOURNAL_ENTRIES="20")
    eve = visit("Eve")
    for number in range(5):
        puts(eve, url, room, f"text {number}")
    eve.plays_back(url, room)
    eve.page.route("**/history?*", lambda route: route.abort())
    expect(eve.page.get_by_text("The service can't be reached")).to_be_visible()
    for number in range(60):
        puts(eve, url, room, f"line {number}")
    eve.page.unroute("**/history?*")
    expect(eve.notices).to_contain_text("The history was shortened")
    eve.sees("line 59")
    assert edits(eve) <= 20
    expect(eve.page.get_by_text("The service can't be reached")).to_be_hidden()
    eve.failures.clear()  # the browser reports the requests that failed


def test_while_redis_is_away_it_says_so_and_then_goes_on(
    visit: Visit, cluster: Cluster, room: str
) -> None:
    with wire_to(cluster, cluster.redis_url) as wire:
        url = cluster.start_node("f", REDIS_URL=f"redis://127.0.0.1:{wire.port}/0")
        eve, bob = visit("Eve"), visit("Bob")
        puts(eve, url, room, "one")
        eve.plays_back(url, room)
        wire.cut()
        expect(eve.page.get_by_text("The service can't reach its storage")).to_be_visible()
        eve.sees("one")
        bob.page.goto(f"{url}/?room={room}&playback")
        expect(bob.notices).to_contain_text("The service can't reach its storage")
        wire.mend()
        puts(eve, cluster.urls[0], room, "one two")
        for person in (eve, bob):
            person.sees("one two")
            expect(person.page.get_by_text("can't reach its storage")).to_be_hidden()
            person.failures.clear()  # the browser reports the answers 503


MANY = 20_000
READS = """async () => {
    for (;;) {
        const told = document.querySelector("#clock").textContent;
        if (told.includes("%") || told.includes("edit ")) return told;
        await new Promise(requestAnimationFrame);
    }
}"""
"""How much of the history the page has read, as soon as it tells that or shows all of it. It may be
read in less than a second, and `expect` looks once a second after a while."""
SEEKS = """async () => {
    const slider = document.querySelector("#moment");
    const times = [];
    for (let seek = 0; seek < 21; seek += 1) {
        slider.value = String(((seek * 13) % 21) / 21 * Number(slider.max));
        const since = performance.now();
        slider.dispatchEvent(new Event("input"));
        times.push(performance.now() - since);
        await new Promise(requestAnimationFrame);
    }
    return times.sort((one, other) => one - other)[10];
}"""


def write_history(url: str, room: str, count: int) -> None:
    """Write a journal of so many edits to Redis, as nodes do: two people in turn, line for line."""
    docs: list[Doc[Any]] = [Doc(client_id=number + 1) for number in range(2)]
    texts = [doc.get("code", type=Text) for doc in docs]
    keys = (f"code_{room}", f"journal:{{code_{room}}}", f"journal-head:{{code_{room}}}")
    begin = int(time.time() * 1000) - count * 100
    store = redis.Redis.from_url(url)
    with store.pipeline(transaction=False) as pipe:
        for number in range(count):
            who = number // 40 % 2
            before = docs[who].get_state()
            place = number // 40 * 7919 % (number // 40 * 40 + 1) + number % 40
            texts[who].insert(place, "abcdefgh \n"[number % 10])
            update = docs[who].get_update(before)
            docs[1 - who].apply_update(update)
            author = ("0#yjs#c2410c Ada", "1#yjs#1d4ed8 Bob")[who]
            id = f"{begin + number * 100}-7"
            pipe.xadd(keys[1], {"a": author, "u": update}, id=id)
        head: dict[Any, Any] = {
            "epoch": "made", "tail": id, "snap": id, "base": "", "base_id": "0-0", "bytes": 0,
            "origin": "room",
        }  # fmt: skip
        pipe.hset(keys[2], mapping=head)
        pipe.set(keys[0], str(texts[0]))
        for key in keys:
            pipe.expire(key, 300)
        pipe.execute()
    store.close()


def test_a_long_history_can_be_left_while_it_is_read_and_sought_in_a_moment(
    visit: Visit, cluster: Cluster, room: str
) -> None:
    write_history(cluster.redis_url, room, MANY)
    eve = visit("Eve")
    eve.page.goto(f"{cluster.urls[0]}/?room={room}&playback")
    assert "%" in eve.page.evaluate(READS)
    eve.page.get_by_role("link", name="Plain client").click()
    eve.has_state("connected", "saved")
    eve.plays_back(cluster.urls[0], room)
    assert edits(eve) == MANY
    # Milliseconds, also on a busy machine; that is one seek of many.
    assert eve.page.evaluate(SEEKS) < 100
