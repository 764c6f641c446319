"""The life of rooms, as a receiver of webhooks learns of it from two nodes."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime

import aiohttp
import pytest
import redis.asyncio
from aiohttp import web

from collab.webhooks.__main__ import main
from tests.cluster.caller import Caller
from tests.cluster.wire import wire_member
from tests.support.clients import eventually
from tests.support.inbox import SECRET, Arrived, Inbox, fails, hang, receiving
from tests.support.processes import Node, Redis, get_metrics, running

TIMEOUT = 1.0
"""Seconds of an attempt."""
IDLE = 0.5
ENTRIES = 4
"""Entries of a journal, so that histories are compacted soon."""
FAST = {
    "COLLAB_WEBHOOK_SECRET": SECRET,
    "COLLAB_WEBHOOK_TIMEOUT": str(TIMEOUT),
    "COLLAB_WEBHOOK_BACKOFF": "0.05",
    "COLLAB_WEBHOOK_IDLE": str(IDLE),
    "COLLAB_PUBLIC_URL": "https://collab.example/",
}


@pytest.fixture(scope="module")
async def inbox() -> AsyncIterator[Inbox]:
    async with receiving() as inbox:
        yield inbox


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Redis]:
    one = Redis()
    async with running(one):
        yield one


@pytest.fixture(scope="module")
async def all_nodes(server: Redis, inbox: Inbox) -> AsyncIterator[list[Node]]:
    settings = {
        **FAST, "COLLAB_WEBHOOK_URL": inbox.url, "COLLAB_MAX_JOURNAL_ENTRIES": str(ENTRIES),
    }  # fmt: skip
    elsewhere = server.url.removesuffix("0") + "1"
    nodes = [
        Node(server.url, "a", **settings),
        Node(server.url, "b", **settings),
        Node(elsewhere, "short", **settings, COLLAB_ROOM_TTL="2"),
    ]
    async with running(*nodes):
        yield nodes
    for node in nodes:
        assert "Traceback" not in node.output(), node.output()
        assert "C2FVsBQI" not in node.output(), "the secret is in the log"


@pytest.fixture
def pair(all_nodes: list[Node]) -> tuple[Node, Node]:
    return all_nodes[0], all_nodes[1]


@pytest.fixture
def short_lived(all_nodes: list[Node]) -> Node:
    """A node whose rooms live for two seconds, in a database of its own."""
    return all_nodes[2]


@pytest.fixture
async def api(pair: tuple[Node, Node]) -> AsyncIterator[tuple[Caller, Caller]]:
    async with aiohttp.ClientSession() as session:
        yield Caller(session, pair[0].url), Caller(session, pair[1].url)


def openssl_signature(arrived: Arrived) -> str:
    """Return the signature that OpenSSL makes of what has arrived."""
    key = base64.b64decode(SECRET.removeprefix("whsec_")).hex()
    signed = f"{arrived.id}.{arrived.headers['webhook-timestamp']}.".encode() + arrived.body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary"]
    made = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    return "v1," + base64.b64encode(made).decode()


async def test_a_rooms_life_is_told_once_and_in_order_by_two_nodes(
    pair: tuple[Node, Node], api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    async with wire_member(pair[0].url) as ann, wire_member(pair[1].url) as bob:
        await ann.join(room)
        await (await ann.type(room, "one"))
        await bob.join(room)
        opened = await inbox.until(room, "opened")
        assert opened.data["links"] == {
            "history": f"https://collab.example/api/rooms/{room}/history",
            "playback": f"https://collab.example/?room={room}&playback",
        }
        await asyncio.sleep(2.5 * IDLE)
        assert inbox.kinds(room) == ["opened"], "it has members, who do nothing"
    left = time.time()
    idle = await inbox.until(room, "idle")
    assert datetime.fromisoformat(idle.event["timestamp"]).timestamp() >= left + IDLE - 0.2
    status, _ = await api[1].ask("DELETE", f"/rooms/{room}")
    assert status == 204
    ended = await inbox.until(room, "ended")
    assert ended.data["reason"] == "ended" and ended.data["text"] == "one"
    assert [person["client"] for person in ended.data["people"]] == ["text"]
    assert opened.data["life"] == idle.data["life"] == ended.data["life"]
    await asyncio.sleep(IDLE)
    arrived = inbox.attempts(room)
    assert [each.event["type"] for each in arrived] == ["room.opened", "room.idle", "room.ended"]
    sequences = [each.data["sequence"] for each in arrived]
    assert sequences == sorted(set(sequences)) and sequences[-1] < 2**53
    for each in arrived:
        assert each.headers["content-type"] == "application/json"
        assert each.headers["webhook-signature"] == openssl_signature(each)
        assert abs(int(each.headers["webhook-timestamp"]) - time.time()) < 60


async def test_who_comes_back_to_an_idle_room_lets_it_be_idle_once_more(
    pair: tuple[Node, Node], api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    await api[0].put(room, "from the API")
    await inbox.until(room, "idle")
    async with wire_member(pair[0].url) as ann:
        await ann.join(room)
        await asyncio.sleep(2 * IDLE)
    await eventually(lambda: inbox.kinds(room) == ["opened", "idle", "idle"])


async def test_lives_of_one_name_that_follow_at_once_are_all_told(
    api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    for number in range(3):
        await api[number % 2].put(room, f"life {number}")
        assert (await api[1 - number % 2].ask("DELETE", f"/rooms/{room}"))[0] == 204
    await eventually(lambda: inbox.kinds(room) == ["opened", "ended"] * 3, str(inbox.kinds(room)))
    ended = {each.data["sequence"]: each for each in inbox.of(room, "room.ended")}
    texts = [ended[sequence].data["text"] for sequence in sorted(ended)]
    assert texts == ["life 0", "life 1", "life 2"]


async def test_what_was_written_is_told_before_it_expires_and_anew_after_more_was_written(
    short_lived: Node, inbox: Inbox, room: str, held: asyncio.Task[None]
) -> None:
    async with wire_member(short_lived.url) as ann:
        await ann.join(room)
        await (await ann.type(room, "one"))
    first = await inbox.until(room, "expiring")
    assert first.data["text"] == "one" and len(first.data["people"]) == 1
    deadline = datetime.fromisoformat(first.data["expires_at"]).timestamp()
    assert time.time() - 0.5 < deadline < time.time() + 2
    async with wire_member(short_lived.url) as bob:
        await bob.join(room)
        await bob.received()
        await (await bob.type(room, "one, two"))
    await eventually(lambda: len(inbox.of(room, "room.expiring")) == 2)
    second = inbox.of(room, "room.expiring")[1]
    assert second.data["text"] == "one, two" and len(second.data["people"]) == 2
    assert second.data["sequence"] > first.data["sequence"]
    ended = await inbox.until(room, "ended")
    assert ended.data["reason"] == "expired" and ended.data["text"] is None
    await held


@pytest.fixture
async def held(short_lived: Node, inbox: Inbox, room: str) -> AsyncIterator[asyncio.Task[None]]:
    """Checks, at the same time, a room that expires while somebody is in it.

    It is not expiring, since its members may go on, and the event of its end has the text.
    """
    left_open = f"{room}-held"

    async def check() -> None:
        async with wire_member(short_lived.url) as ann:
            await ann.join(left_open)
            await (await ann.type(left_open, "a page that somebody left open"))
            ended = await inbox.until(left_open, "ended")
        assert ended.data["text"] == "a page that somebody left open"
        assert len(ended.data["people"]) == 1 and ended.data["reason"] == "expired"
        assert inbox.kinds(left_open) == ["opened", "ended"]

    checking = asyncio.create_task(check())
    yield checking
    checking.cancel()


async def test_people_are_named_who_wrote_long_ago_and_whose_edits_were_compacted(
    pair: tuple[Node, Node], api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    async with wire_member(pair[0].url, auth={"name": "Ann"}) as ann:
        await ann.join(room)
        await (await ann.type(room, "a"))
    async with wire_member(pair[1].url, auth={"name": "Bob"}) as bob:
        await bob.join(room)
        await bob.received()
        for length in range(2, 5 * ENTRIES):
            await (await bob.type(room, "a" * length))
    authors = [line["author"]["name"] for line in (await api[0].history(room))[1:]]
    assert set(authors) == {"Bob"}
    await api[0].ask("DELETE", f"/rooms/{room}")
    ended = await inbox.until(room, "ended")
    assert [person["name"] for person in ended.data["people"]] == ["Ann", "Bob"]


async def test_without_a_receiver_nothing_is_written_or_asked(
    callers: list[Caller], store: redis.asyncio.Redis, room: str
) -> None:
    await callers[0].put(room, "x")
    await callers[0].ask("DELETE", f"/rooms/{room}")
    assert not [key async for key in store.scan_iter("collab:{webhooks}:*")]


async def refuse(arrived: Arrived, before: int) -> web.StreamResponse:
    return web.Response(status=500, text="x" * 100_000)


async def close_connection(arrived: Arrived, before: int) -> web.StreamResponse:
    assert arrived.request.transport is not None
    arrived.request.transport.abort()
    return web.Response(status=500)


async def redirect(arrived: Arrived, before: int) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "/hooks"})


async def late(arrived: Arrived, before: int) -> web.StreamResponse:
    await asyncio.sleep(1.5 * TIMEOUT)
    return web.Response(status=500)


async def endless(arrived: Arrived, before: int) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(arrived.request)
    arrived.accepted = True
    await asyncio.sleep(3600)
    return response


async def test_an_answer_counts_by_its_status_even_if_it_never_ends(
    api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    inbox.answers[room] = endless
    await api[0].put(room, "x")
    await eventually(lambda: inbox.kinds(room) == ["opened", "idle"])
    await asyncio.sleep(1.5 * TIMEOUT)
    assert len(inbox.attempts(room)) == 2


async def test_a_receiver_that_fails_in_any_way_gets_the_same_event_again(
    api: tuple[Caller, Caller], inbox: Inbox, room: str
) -> None:
    troubles = {
        "refuses": refuse, "hangs": hang, "closes": close_connection, "redirects": redirect,
        "late": late,
    }  # fmt: skip
    for name, answer in troubles.items():
        inbox.answers[f"{room}-{name}"] = fails(2, answer)
    began = time.monotonic()
    await asyncio.gather(*(api[0].put(f"{room}-{name}", "x") for name in troubles))
    await api[0].put(f"{room}-other", "x")
    await inbox.until(f"{room}-other", "opened")
    assert time.monotonic() - began < TIMEOUT + 1, "one event has waited for the others"
    for name in troubles:
        await inbox.until(f"{room}-{name}", "opened")
        tried = [
            each for each in inbox.attempts(f"{room}-{name}") if each.event["type"] == "room.opened"
        ]
        assert len(tried) == 3, name
        assert len({each.id for each in tried}) == len({each.body for each in tried}) == 1
        assert all(each.headers["webhook-signature"] == openssl_signature(each) for each in tried)


async def test_a_receiver_that_was_down_gets_what_has_happened_meanwhile(
    server: Redis, stack: AsyncExitStack, room: str
) -> None:
    async with receiving() as gone:
        port = gone.port
    url = server.url.removesuffix("0") + "2"
    settings = {
        **FAST, "COLLAB_WEBHOOK_URL": gone.url, "COLLAB_WEBHOOK_MAX_EVENTS": "3",
        "COLLAB_WEBHOOK_IDLE": "600",
    }  # fmt: skip
    node = Node(url, "alone", **settings)
    async with running(node), aiohttp.ClientSession() as session:
        caller = Caller(session, node.url)
        for number in range(7):
            await caller.put(f"{room}-{number}", "x")
        await counted(node, "collab_webhook_held_back_total", 3)
        assert (await get_metrics(node.url))["collab_webhook_waiting"] == 3
        assert "too many webhooks wait" in node.output()
        back = await stack.enter_async_context(receiving(port))
        for number in range(7):
            await back.until(f"{room}-{number}", "opened")


async def test_what_no_attempt_delivers_is_in_the_dead_letter_list_and_can_be_replayed(
    server: Redis,
    inbox: Inbox,
    room: str,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    url = server.url.removesuffix("0") + "3"
    node = Node(
        url, "dead", **FAST, COLLAB_WEBHOOK_URL=inbox.url, COLLAB_WEBHOOK_ATTEMPTS="2",
        COLLAB_WEBHOOK_MAX_DEAD="2",
    )  # fmt: skip
    inbox.answers.update(dict.fromkeys([f"{room}-{number}" for number in range(3)], refuse))
    async with running(node), aiohttp.ClientSession() as session:
        caller = Caller(session, node.url)
        for number in range(3):
            await caller.put(f"{room}-{number}", "secret text")
            await caller.ask("DELETE", f"/rooms/{room}-{number}")

        await counted(node, "collab_webhook_dropped_total", 4)
        listed = (await command(url, "list")).splitlines()
        assert len(listed) == 2 and all('"reason":"status 500"' in line for line in listed)
        assert "secret text" not in "".join(listed)
        monkeypatch.setenv("REDIS_URL", url)
        ids = [line.partition('"id":"')[2].partition('"')[0] for line in listed]

        async def ask(*arguments: str) -> str:
            assert await asyncio.to_thread(main, arguments) == 0
            return capsysbinary.readouterr().out.decode()

        assert f'"room":"{room}-' in await ask("show", ids[0])
        inbox.answers.clear()
        assert await ask("replay", ids[0]) == "1 replayed\n"
        assert await ask("replay", "--all") == "1 replayed\n"
        await eventually(lambda: {each.id for each in inbox.arrived if each.accepted} >= {*ids})
        assert await ask("list") == ""


async def counted(node: Node, name: str, count: int) -> None:
    """Wait until a counter of a node has reached ``count``."""
    async with asyncio.timeout(15):
        while (await get_metrics(node.url))[name] < count:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)


async def command(url: str, *arguments: str) -> str:
    """Return what the command line prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collab.webhooks", *arguments,
        env={**os.environ, "REDIS_URL": url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
