"""Text members of several kinds: readers, typists, echoing editors, three who edit at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.cluster.people import (
    all_show,
    far_url,
    member_of,
    until_equal,
    until_stored,
)
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis
from tests.support.storm import storm

Nodes = tuple[Node, Node]


# One person types


async def test_with_one_person_typing_the_typist_gets_nothing_and_the_others_each_text_once(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    typist = await member_of(stack, nodes[0].url, room)
    beside = await member_of(stack, nodes[0].url, room)
    away = await member_of(stack, await far_url(stack, nodes[1]), room)
    texts = ["x" * (i + 1) for i in range(60)]
    for text in texts:
        assert (await (await typist.type(room, text)))["ok"]
    await all_show([beside, away], texts[-1])
    assert typist.codes == []
    assert typist.pings <= 2 * (1 + len(texts)), "more than two marks for each acknowledgement"
    assert beside.codes == texts
    assert all(code in texts for code in away.codes)
    assert away.codes == sorted(set(away.codes), key=len)


async def test_a_member_that_only_reads_has_one_receive_and_its_marks_in_flight(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    typist = await member_of(stack, nodes[0].url, room)
    reader = await member_of(stack, nodes[1].url, room)
    await (await typist.type(room, "a"))
    await reader.shows("a")
    await eventually(lambda: reader.log[-3:] == ["ping", "receive", "ping"])
    await reader.send_without_waiting(room + "-other")
    reader.log.clear()
    reader.sends_pongs = False
    for i in range(20):
        await (await typist.type(room, "x" * (i + 1)))
    await reader.shows("x")
    await reader.ask("join", {"room": room + "-other"})
    assert reader.pings == 2 and reader.log.count("receive") == 1
    await reader.send_pongs()  # the newest text follows, and nothing in between
    await reader.shows("x" * 20)
    assert reader.pings == 4 and reader.log.count("receive") == 2
    await reader.send_pongs()
    await reader.ask("join", {"room": room + "-other"})
    assert reader.pings == 4


async def test_a_receive_to_a_member_that_types_stands_between_two_marks(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    one = await member_of(stack, nodes[0].url, room)
    two = await member_of(stack, nodes[1].url, room)
    await (await one.type(room, "one"))
    await two.shows("one")
    await (await two.type(room, "one two"))
    await one.shows("one two")
    at = one.log.index("receive")
    await eventually(lambda: one.log[at - 1 : at + 2] == ["ping", "receive", "ping"])


# Echoing editors


async def echoing(client: JsClient, room: str) -> None:
    await client.join(room)
    client._host.send_command({"do": "echo", "id": client._id, "room": room})


async def test_two_echoing_editors_in_one_room_do_not_play_ping_pong(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    one, two = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    typist = await js.connect(nodes[0].url)
    for client in (one, two):
        await echoing(client, room)
    await typist.join(room)
    texts = [f"{'ab' * i}\n" for i in range(1, 40)]
    for text in texts:
        await typist.change(room, text)
    for client in (one, two):
        await client.shows(texts[-1])
    await until_stored(store, room, texts[-1])
    assert (await one.ask("change", {"room": room, "code": texts[-1]}))["ok"]
    for client in (one, two):
        assert client.codes == sorted(set(client.codes), key=len), "a text came twice"
    assert typist.codes == []


async def test_echoing_editors_that_people_type_in_make_nothing_grow_and_lose_nothing(
    nodes: Nodes, redis_server: Redis
) -> None:
    outcomes = await asyncio.gather(
        *(
            storm(nodes, redis_server.url, way, rooms=1, seconds=4, echoing=echoing, seed=echoing)
            for way in ("websocket", "polling")
            for echoing in (1, 2, 3)
        )
    )
    for outcome in outcomes:
        assert outcome.faults == (0, 0, 0)
        assert outcome.refused == [] and outcome.unanswered == 0
        assert outcome.changes < 2000, "echoes are echoed"


# Three at once


CONCURRENT_EDITS = {
    "the same line is deleted by all": (
        "keep\ngone\nkeep too\n",
        ["keep\nkeep too\n", "keep\nkeep too\n", "keep\nkeep too\n"],
        "keep\nkeep too\n",
    ),
    "one deletes the region that two type in": (
        "head\nthe middle of it\ntail\n",
        [
            "head\ntail\n",
            "head\nthe <1> middle of it\ntail\n",
            "head\nthe middle of <2> it\ntail\n",
        ],
        "head\n<1> <2> tail\n",
    ),
    "each edits with two cursors": (
        "left = 1\nright = 2\n",
        ["lleft = 1\nlright = 2\n", "left = 1 # a\nright = 2 # a\n", "left = 1;\nright = 2;\n"],
        None,
    ),
    "one pastes 50 kB into another's word": (
        "begin end",
        ["begin " + "paste\n" * 8500 + "end", "begin, end", "begin end."],
        "begin, " + "paste\n" * 8500 + "end.",
    ),
    "emoji that share a half": (
        "a😀b😁c",
        ["a😀b😂c", "a😃b😁c", "a😀b😁c👩‍👩‍👧"],
        "a😃b😂c👩‍👩‍👧",
    ),
    "combining characters": (
        "cafe und a",
        ["cafe\u0301 und a", "cafe und a\u0308", "cafe und a und n\u0303"],
        None,
    ),
    "all append to an empty text": ("", ["aaa", "bbb", "ccc"], None),
}


@pytest.mark.parametrize("case", CONCURRENT_EDITS)
async def test_three_people_edit_at_once(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis, case: str
) -> None:
    base, texts, expected = CONCURRENT_EDITS[case]
    people = [
        await member_of(stack, await far_url(stack, nodes[i % 2], 0.03), room) for i in range(3)
    ]
    await (await people[0].type(room, base))
    if base:
        await all_show(people[1:], base)
    answers = [await one.type(room, text) for one, text in zip(people, texts, strict=True)]
    for answer in answers:
        assert (await answer)["ok"]
    await until_equal(people, room, store)
    got = people[0].text
    if expected is not None and case != "one deletes the region that two type in":
        assert got == expected
    for text in texts:
        assert set(text) - set(base) <= set(got)
    if case == "one deletes the region that two type in":
        assert "<1>" in got and "<2>" in got and "middle" not in got
    assert len(got) == len(base) + sum(len(text) - len(base) for text in texts) or expected
