"""Text members of every kind: readers, echoing editors, slow ones, fast ones, who comes back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.cluster.wire import WireMember, wire_member
from tests.storm import storm
from tests.support.clients import PATIENCE, JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]
FAR = 0.06
"""Seconds on the wire, each way, for a member that is far away."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def far_url(stack: AsyncExitStack, node: Node, delay: float = FAR) -> str:
    wire = await stack.enter_async_context(proxy(node.port, delay))
    return f"http://127.0.0.1:{wire.port}"


async def member_of(
    stack: AsyncExitStack, url: str, room: str, receive_buffer: int | None = None
) -> WireMember:
    opened = wire_member(url, receive_buffer=receive_buffer)
    member = await stack.enter_async_context(opened)
    await member.join(room)
    return member


async def all_show(members: Sequence[WireMember], text: str) -> None:
    await asyncio.gather(*(member.shows(text) for member in members))


async def until(check: Callable[[], Awaitable[bool]], pause: float = 0.01) -> None:
    """Wait until ``check()`` comes true."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await check():
                return
            await asyncio.sleep(pause)


async def stored(store: redis.asyncio.Redis, room: str) -> str:
    return (await store.get(f"code_{room}") or b"").decode()


async def until_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    async def check() -> bool:
        return await stored(store, room) == text

    await until(check)


async def until_equal(people: Sequence[WireMember], room: str, store: redis.asyncio.Redis) -> None:
    """Wait until all show what Redis has, and go on so for a few round trips."""
    still = 0

    async def check() -> bool:
        nonlocal still
        code = await stored(store, room)
        still = still + 1 if {person.text for person in people} == {code} else 0
        return still > 10

    await until(check, pause=0.03)


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
    await reader.does_not_wait(room + "-other")
    reader.log.clear()
    reader.answering = False
    for i in range(20):
        await (await typist.type(room, "x" * (i + 1)))
    await reader.shows("x")
    await reader.ask("join", {"room": room + "-other"})
    assert reader.pings == 2 and reader.log.count("receive") == 1
    await reader.answer()  # the newest text follows, and nothing in between
    await reader.shows("x" * 20)
    assert reader.pings == 4 and reader.log.count("receive") == 2
    await reader.answer()
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
    client._host.tell({"do": "echo", "id": client._id, "room": room})


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


# Coming back


@pytest.mark.parametrize("to", ["the same node", "another node", "a node that loads the room cold"])
async def test_who_comes_back_with_a_change_and_no_join_keeps_its_edits_and_the_others_theirs(
    nodes: Nodes, js: JsHost, room: str, to: str, store: redis.asyncio.Redis
) -> None:
    base = "def solve(values):\n    total = 0\n    return total\n"
    stays = await js.connect(nodes[0].url)
    goes = await js.connect(nodes[0].url)
    await stays.join(room)
    await goes.join(room)
    if to == "another node":
        await (await js.connect(nodes[1].url)).join(room)
    await stays.change(room, base)
    await goes.shows(base)
    goes.close()
    await goes.until("disconnect")
    meanwhile = base.replace("total = 0\n", "total = 0\n    for value in values:\n        pass\n")
    await stays.change(room, meanwhile)

    back = await js.connect(nodes["same" not in to].url)
    mine = base.replace("return total", "return total  # the sum")
    reply = await back.change(room, mine)
    assert reply == {"ok": True}
    merged = meanwhile.replace("return total", "return total  # the sum")
    await back.shows(merged)
    await stays.shows(merged)
    await until_stored(store, room, merged)
    assert back.codes == [merged], "it is sent the merged text alone"


async def test_who_comes_back_with_the_rooms_own_text_is_sent_nothing(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    stays, back = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await stays.change(room, "as it was")
    assert (await back.change(room, "as it was"))["ok"]
    await stays.change(room, "as it was, and on")
    await back.shows("as it was, and on")
    assert back.codes == ["as it was, and on"] and stays.codes == []


async def test_a_client_that_was_cut_off_and_typed_on_sends_it_all_when_it_is_back(
    nodes: Nodes, stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    far = await js.connect(f"http://127.0.0.1:{wire.port}")
    near = await js.connect(nodes[1].url)
    await far.join(room)
    await near.join(room)
    await near.change(room, "one\ntwo\nthree\n")
    await far.shows("one\ntwo\nthree\n")
    wire.refuse()
    await far.until("disconnect")
    await near.change(room, "zero\none\ntwo\nthree\n")
    for i in range(1, 6):  # the official client keeps these and sends them when it is back
        far.emit("change", {"room": room, "code": "one\ntwo\nthree\nfour!"[: 13 + i]})
    wire.accept()
    await near.shows("zero\none\ntwo\nthree\nfour!"[:23])
    await far.shows(near.codes[-1])
    assert near.codes[-1] == "zero\none\ntwo\nthree\nfour"[:23]


# Slow members


async def test_a_member_that_stops_reading_costs_a_bounded_set_of_texts_and_ends_equal(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "slow")
    await stack.enter_async_context(running(node))
    typist = await member_of(stack, node.url, room)
    slow = await member_of(stack, node.url, room, receive_buffer=4096)
    page = "".join(f"line {i}\n" for i in range(18_000))[:200_000]
    for text in ("a", "b", page):  # until it is known that it doesn't echo
        await (await typist.type(room, text))
        await slow.shows(text)
    before = node.resident()
    slow.stop_reading()
    sizes = []
    for i in range(150):
        await (await typist.type(room, f"{i}\n" + page))
        sizes.append(node.resident())
    sys.stdout.write(f"\nRSS in MB, one member not reading: {before}, then {sizes[::15]}\n")
    # The transport's buffer, the views (32 at the most) and one unsent text, of 200 kB each.
    assert max(sizes) - before < 40
    assert max(sizes[75:]) - max(sizes[:75]) < 10, "it goes on growing"
    slow.read_again()
    await slow.shows("149\n" + page)
    assert len(slow.codes) < 60
    await (await slow.type(room, "read all of it\n" + slow.text))
    await typist.shows("read all of it\n149\n" + page)
    await until_stored(store, room, typist.text)


async def test_a_member_that_answers_no_mark_waits_with_a_bounded_set_of_views(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    typist = await member_of(stack, nodes[0].url, room)
    silent = await member_of(stack, nodes[0].url, room)
    for text in ("a", "b"):  # until it is known that it doesn't echo
        await (await typist.type(room, text))
        await silent.shows(text)
    await silent.does_not_wait(room)
    await (await silent.type(room, "bc"))  # and may have many receives on their way
    silent.codes.clear()
    silent.answering = False
    for i in range(100):
        await (await typist.type(room, "x" * (i + 1)))
    assert 20 < len(silent.codes) <= 32
    await silent.answer()
    silent.answering = True
    await silent.shows("x" * 100)


# Fast members


async def test_a_burst_of_five_hundred_changes_is_slowed_and_all_of_it_is_acknowledged(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "fast", COLLAB_MAX_CHANGES_PER_SECOND="100")
    await stack.enter_async_context(running(node))
    fast, other = [await member_of(stack, node.url, room) for _ in range(2)]
    answers = [await fast.type(room, "x" * (i + 1)) for i in range(500)]
    await eventually(lambda: other.text)
    await (await other.type(room, "y" + other.text))
    async with asyncio.timeout(20):
        assert all([(await answer)["ok"] for answer in answers])
    await all_show([fast, other], "y" + "x" * 500)
    await until_stored(store, room, "y" + "x" * 500)
    assert (await get_metrics(node.url))["collab_slowed_total"] > 200


async def test_only_abuse_ends_in_rate_limited_and_the_connection_survives_it(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(
        redis_server.url, "abused",
        COLLAB_MAX_CHANGES_PER_SECOND="50", COLLAB_MAX_SLOWED="0.5",
    )  # fmt: skip
    await stack.enter_async_context(running(node))
    member = await member_of(stack, node.url, room)
    answers = [await member.type(room, "x" * (i + 1)) for i in range(400)]
    async with asyncio.timeout(20):
        replies = [await answer for answer in answers]
    refused = [reply["error"]["code"] for reply in replies if not reply["ok"]]
    assert refused and set(refused) == {"rate_limited"}
    assert [error["code"] for error in member.errors] == refused
    assert all(reply["ok"] for reply in replies[:120])

    async def accepted() -> bool:  # what it shows is in its next change, whole
        return bool((await (await member.type(room, "x" * 401)))["ok"])

    await until(accepted, pause=0.1)
    assert not member.closed
    await until_stored(store, room, "x" * 401)


# Three at once

CROWD = {
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


@pytest.mark.parametrize("case", CROWD)
async def test_three_people_edit_at_once(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis, case: str
) -> None:
    base, texts, expected = CROWD[case]
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


# Rooms, joining, leaving


async def test_marks_of_one_room_do_not_disturb_another_on_the_same_connection(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    rooms = [f"{room}-{i}" for i in range(3)]
    both = await stack.enter_async_context(wire_member(await far_url(stack, nodes[0])))
    others = [await member_of(stack, nodes[i % 2].url, name) for i, name in enumerate(rooms)]
    for i, name in enumerate(rooms):
        await both.join(name)
        await (await others[i].type(name, f"{i}:"))

    def shown(i: int) -> str:
        """Return what the connection last received or typed in a room."""
        return next((code for code in reversed(both.codes) if code.startswith(f"{i}:")), "")

    await eventually(lambda: all(shown(i) for i in range(3)))
    for step in range(25):
        for i, name in enumerate(rooms):
            await others[i].type(name, others[i].text + chr(0x4E00 + step))
            mine = shown(i) + chr(0x5E00 + step)
            both.codes.append(mine)  # the page shows it in that room's editor
            await both.type(name, mine)
        await asyncio.sleep(0.03)
    for i, name in enumerate(rooms):

        async def complete(name: str = name) -> bool:
            return len(await stored(store, name)) >= 52

        await until(complete)
        code = await stored(store, name)
        typed = {chr(first + step) for first in (0x4E00, 0x5E00) for step in range(25)}
        assert len(code) == 52 and typed <= set(code)
        await eventually(lambda i=i, code=code: shown(i) == others[i].text == code)


async def test_joining_twice_sends_the_text_twice_and_loses_nothing_typed_around_it(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    here = await member_of(stack, await far_url(stack, nodes[0]), room)
    there = await member_of(stack, nodes[1].url, room)
    await (await here.type(room, "base"))
    await there.shows("base")
    await there.type(room, "base there")
    await here.type(room, "here base")
    joined = await here.send("join", {"room": room})
    await here.type(room, "here, base")
    assert (await joined)["ok"]
    await until_equal([here, there], room, store)
    assert here.text == "here, base there"


async def test_leaving_with_receives_in_flight_and_joining_again_loses_nothing(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    here = await member_of(stack, await far_url(stack, nodes[0]), room)
    there = await member_of(stack, nodes[0].url, room)
    await (await here.type(room, "base\n"))
    await there.shows("base\n")
    for i in range(5):
        await there.type(room, there.text + f"there {i}\n")
    await here.type(room, "here\n" + here.text)
    left = await here.send("leave", {"room": room})
    await there.type(room, there.text + "while it was away\n")
    joined = await here.send("join", {"room": room})
    await here.type(room, "again\n" + here.text)
    assert (await left)["ok"] and (await joined)["ok"]
    await here.type(room, here.text + "and on\n")
    await until_equal([here, there], room, store)
    lines = here.text.splitlines()
    assert sorted(lines) == sorted(
        ["again", "here", "base", *(f"there {i}" for i in range(5)), "while it was away", "and on"]
    )


async def test_who_types_on_between_join_and_its_answer_after_a_new_connection_loses_nothing(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    there = await member_of(stack, nodes[0].url, room)
    url = await far_url(stack, nodes[0])
    async with wire_member(url) as before:
        await before.join(room)
        await (await there.type(room, "base\nof both\n"))
        await before.shows("base\nof both\n")
    await (await there.type(room, "base\nof both\nthere\n"))
    again = await stack.enter_async_context(wire_member(url))
    again.text = "base\nof both\n"
    joined = await again.send("join", {"room": room})
    await again.type(room, "here\n" + again.text)
    assert (await joined)["ok"]
    await until_equal([again, there], room, store)
    assert again.text == "here\nbase\nof both\nthere\n"


async def test_leaving_before_a_receive_is_written_and_joining_again_gets_the_text(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    # Guards against a slot that was dropped in the outbox and kept its place from the next one.
    writer = await member_of(stack, nodes[0].url, room)
    await (await writer.type(room, "here"))
    member = await stack.enter_async_context(wire_member(nodes[0].url))
    for _ in range(20):
        answers = [
            await member.send(event, {"room": room}) for event in ("join", "leave", "join", "leave")
        ]
        for answer in answers:
            await answer
        member.text = ""
        await member.join(room)
        await member.shows("here")
        assert (await member.ask("leave", {"room": room}))["ok"]


async def test_a_connection_that_broke_unnoticed_is_one_that_its_successor_may_have_been(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    far = await member_of(stack, f"http://127.0.0.1:{wire.port}", room)
    near = await member_of(stack, nodes[0].url, room)
    await (await near.type(room, "alpha beta gamma"))
    await far.shows("alpha beta gamma")
    wire.to_client = lambda piece: []  # nothing comes back any more, and nobody is told
    await near.type(room, "alpha, beta, gamma")
    await far.type(room, "alpha beta gamma delta")
    await near.shows("alpha, beta, gamma delta")
    again = await stack.enter_async_context(wire_member(nodes[0].url))
    assert (await (await again.type(room, "alpha beta gamma delta epsilon")))["ok"]
    await until_equal([again, near], room, store)
    assert again.text == "alpha, beta, gamma delta epsilon"


# Polling and the upgrade


async def test_a_websocket_that_fails_during_the_upgrade_costs_a_polling_client_nothing(
    nodes: Nodes, stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    probed: list[bytes] = []

    def fail_the_probe(piece: bytes) -> list[bytes]:
        if piece.endswith(b"2probe") or b"\x81\x86" in piece[:4]:  # a masked frame of six bytes
            probed.append(piece)
            return []
        return [piece]

    wire.to_server = fail_the_probe
    polling = await js.connect(f"http://127.0.0.1:{wire.port}", transports=["polling", "websocket"])
    other = await js.connect(nodes[1].url)
    await polling.join(room)
    await other.join(room)
    await eventually(lambda: probed)
    for i in range(10):
        await polling.change(room, "x" * (2 * i + 1))
        await other.shows("x" * (2 * i + 1))
        await other.change(room, "x" * (2 * i + 2))
        await polling.shows("x" * (2 * i + 2))
    assert polling.state("upgrade") is None
    wire.refuse()  # a cut alone could fall between two polls
    await polling.until("disconnect")
    wire.accept()
