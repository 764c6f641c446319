"""The connections to Redis: answers go to who asked, and channels are heard, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoScriptError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store.connection import Command, connection_pool
from collab.store.link import LEFT_SERVER, MAX_BATCH, Link, Window
from collab.store.store import Store
from collab.store.subscriber import Subscriber
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import Proxy, proxy

Client = redis.asyncio.Redis


@pytest.fixture
async def wire(redis_server: Redis) -> AsyncIterator[Proxy]:
    async with proxy(redis_server.port) as breakable:
        yield breakable


@pytest.fixture
async def link(wire: Proxy) -> AsyncIterator[Link]:
    pool = connection_pool(f"redis://127.0.0.1:{wire.port}/0", 0.2)
    one = Link(pool, 0.2, Metrics())
    yield one
    await one.close()


# What redis-py and hiredis do for `OpenConnection`


async def test_redis_py_has_the_private_parts_of_a_connection_that_are_used(
    redis_server: Redis,
) -> None:
    connection: Any = connection_pool(redis_server.url, 2).make_connection()  # type: ignore[no-untyped-call]
    await connection.connect()
    transport = connection._writer.transport
    assert not transport.is_closing() and callable(transport.set_protocol)
    parse = connection._parser.parse_error
    assert isinstance(parse("NOSCRIPT No matching script"), NoScriptError)
    assert all(isinstance(parse(text), LEFT_SERVER) for text in ("READONLY x", "LOADING x"))
    transport.abort()
    connection._close()
    assert connection._writer is None and not connection.is_connected
    await connection.disconnect()  # as the garbage collector does: there is nothing left to close


# Commands


async def test_commands_that_wait_together_are_one_round_trip_and_get_their_own_answers(
    redis_server: Redis,
) -> None:
    metrics = Metrics()
    link = Link(connection_pool(redis_server.url, 2), 2, metrics)
    first = asyncio.create_task(link.call("ECHO", "first"))
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(link.call("ECHO", str(n)) for n in range(500)))
    assert answers == [str(n).encode() for n in range(500)]
    assert await first == b"first"
    assert metrics.redis_round_trips.value <= 4
    await link.close()


async def test_an_answer_that_came_too_late_is_never_taken_for_the_next_commands(
    wire: Proxy, link: Link
) -> None:
    assert await link.call("ECHO", "before") == b"before"
    wire.stall()
    with pytest.raises(StoreUnavailable):
        await asyncio.gather(link.call("ECHO", "lost"), link.call("ECHO", "too"))
    wire.resume()
    for number in range(20):
        assert await link.call("ECHO", str(number)) == str(number).encode()


async def test_a_caller_that_gave_up_does_not_shift_the_others_answers(
    wire: Proxy, link: Link
) -> None:
    wire.delay = 0.03
    impatient = asyncio.create_task(link.call("ECHO", "mine"))
    patient = asyncio.create_task(link.call("ECHO", "yours"))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await patient == b"yours"
    assert await link.call("ECHO", "next") == b"next"


async def test_an_error_is_one_commands_alone(link: Link) -> None:
    calls = link.call("ECHO", "fine"), link.call("NONSENSE")
    answers: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    right, wrong = answers
    assert right == b"fine"
    assert isinstance(wrong, Exception) and "unknown command" in str(wrong)


async def test_a_command_that_cannot_be_sent_takes_no_other_with_it(link: Link) -> None:
    calls = link.call("ECHO", "before"), link.call("ECHO", "\ud800"), link.call("ECHO", "after")
    answers: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    before, wrong, after = answers
    assert (before, after) == (b"before", b"after")
    assert isinstance(wrong, UnicodeEncodeError)


async def test_a_connection_that_was_cut_while_idle_fails_no_command(
    wire: Proxy, link: Link
) -> None:
    """Redis was restarted, or closed what it took for idle: the next client must not notice."""
    for _ in range(5):
        assert await link.call("ECHO", "x") == b"x"
        wire.cut()
        await asyncio.sleep(0.02)
    assert await link.call("ECHO", "y") == b"y"


async def test_the_time_out_is_for_each_answer_not_for_all_that_wait_together(
    redis_server: Redis,
) -> None:
    """Else a burst that takes longer than one answer may would fail, be sent again, and fail."""
    link = Link(connection_pool(redis_server.url, 0.4), 0.4, Metrics())
    answers = await asyncio.gather(*(link.call("BLPOP", "nothing", "0.1") for _ in range(8)))
    assert answers == [None] * 8
    await link.close()


async def test_large_commands_and_answers_pass_whole(
    redis_server: Redis, store: Client, room: str
) -> None:
    link = Link(connection_pool(redis_server.url, 5), 5, Metrics())
    texts = [bytes([65 + number]) * (1 << 20) for number in range(8)]
    await asyncio.gather(*(link.call("SET", f"{room}{n}", t) for n, t in enumerate(texts)))
    assert await asyncio.gather(*(link.call("GET", f"{room}{n}") for n in range(8))) == texts
    await link.close()
    await store.delete(*(f"{room}{number}" for number in range(8)))


async def test_what_is_asked_of_a_closed_link_fails_and_is_not_sent_later(
    wire: Proxy, link: Link, store: Client, room: str
) -> None:
    await link.call("PING")
    wire.stall()
    waiting = [asyncio.create_task(link.call("INCR", room)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting.append(asyncio.create_task(link.call("INCR", room)))
    await asyncio.sleep(0)
    await link.close()
    for task in waiting:
        with pytest.raises(StoreUnavailable):
            await task
    with pytest.raises(StoreUnavailable):
        await link.call("INCR", room)
    assert await store.get(room) is None


async def test_a_server_that_became_a_replica_is_left_for_whoever_answers_there_next(
    redis_server: Redis,
) -> None:
    """After a fail-over the old connection would refuse every write for ever."""
    pair = Redis()
    await pair.start()
    client = Client.from_url(pair.url)
    try:
        link = Link(connection_pool(pair.url, 1), 1, Metrics())
        await link.call("SET", "x", 1)
        await client.replicaof("127.0.0.1", redis_server.port)
        with pytest.raises(StoreUnavailable):
            await link.call("SET", "x", 2)
        assert link._connection is None
        await link.close()
    finally:
        await client.aclose()
        await pair.stop()


class Echo:
    """A command that can wait."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.answered: list[object] = []

    def command(self) -> Command:
        return "ECHO", self.word

    def handle(self, answer: object) -> None:
        self.answered.append(answer)


async def test_commands_that_can_wait_share_a_round_trip_and_a_lone_one_does_not_wait(
    redis_server: Redis,
) -> None:
    metrics = Metrics()
    link = Link(connection_pool(redis_server.url, 2), 2, metrics, Window(0.1))
    await link.call("PING")
    await asyncio.sleep(0.11)
    first, *others = echoes = [Echo(str(number)) for number in range(5)]
    link.send(first)
    await eventually(lambda: first.answered == [b"0"], within=0.09)
    for echo in others:
        link.send(echo)
        await asyncio.sleep(0.005)
    assert metrics.redis_round_trips.value == 2
    await eventually(lambda: all(echo.answered for echo in echoes))
    assert [echo.answered for echo in echoes] == [[b"%d" % number] for number in range(5)]
    assert metrics.redis_round_trips.value == 3
    assert link._next_flush is None, "no timer runs when nothing waits"
    await link.close()


async def test_an_urgent_command_takes_those_that_wait_with_it(redis_server: Redis) -> None:
    metrics = Metrics()
    link = Link(connection_pool(redis_server.url, 2), 2, metrics, Window(60))
    assert await link.call("ECHO", "x") == b"x"
    echoes = [Echo(str(number)) for number in range(MAX_BATCH + 10)]
    for echo in echoes:
        link.send(echo)
    await asyncio.sleep(0.01)
    assert metrics.redis_round_trips.value == 1
    assert await link.call("ECHO", "urgent") == b"urgent"
    assert all(len(echo.answered) == 1 for echo in echoes)
    assert metrics.redis_round_trips.value == 3
    link.send(waiting := Echo("waiting"))
    await link.close()
    assert isinstance(waiting.answered[0], StoreUnavailable)


# Channels


@asynccontextmanager
async def subscriber(port: int, timeout: float = 0.4) -> AsyncIterator[Subscriber]:
    store = Store(f"redis://127.0.0.1:{port}/0", "n", timeout, Metrics())
    one = Subscriber(store.pool, "n", timeout)
    await one.open()
    try:
        yield one
    finally:
        await one.close()
        await store.close()


async def test_a_channel_left_and_joined_again_at_once_is_heard(
    redis_server: Redis, store: Client, room: str
) -> None:
    heard: list[bytes] = []
    async with subscriber(redis_server.port) as one:
        await one.subscribe(room, heard.append)
        for number in range(20):
            leaving = asyncio.create_task(one.unsubscribe(room, heard.append))
            await asyncio.sleep(0)
            await one.subscribe(room, heard.append)
            assert await store.publish(room, str(number)) == 1
            await leaving
            await eventually(lambda number=number: heard == [b"%d" % n for n in range(number + 1)])
        await one.unsubscribe(room, heard.append)
        assert room not in one._handlers


async def test_a_subscription_is_confirmed_by_its_own_answer_not_by_that_to_an_ended_one(
    wire: Proxy, room: str
) -> None:
    """Otherwise a node could miss announcements that come before the second confirmation."""
    clock = asyncio.get_running_loop().time
    async with subscriber(wire.port, timeout=1) as one:
        await one.subscribe(room + "-other", lambda message: None)
        wire.delay = 0.05
        ended = asyncio.create_task(one.subscribe(room, lambda message: None))
        await asyncio.sleep(0.04)
        ended.cancel()
        await asyncio.wait([ended])
        asked = clock()
        await one.subscribe(room, lambda message: None)
        assert clock() - asked > 0.09


async def test_what_waits_for_a_channel_and_is_cancelled_leaves_nothing_behind(
    wire: Proxy, room: str
) -> None:
    async with subscriber(wire.port) as one:
        wire.stall()
        listening = asyncio.create_task(one.subscribe(room, lambda message: None))
        await asyncio.sleep(0.02)
        listening.cancel()
        await asyncio.wait([listening])
        assert room not in one._handlers
        with pytest.raises(StoreUnavailable):
            await one.subscribe(room, lambda message: None)
        assert room not in one._handlers and room not in one._feeds.channels


async def test_who_returns_is_told_only_once_every_channel_is_heard_again(
    wire: Proxy, store: Client, room: str
) -> None:
    """What is checked before that can miss what is said right after."""
    heard: list[bytes] = []
    listeners: list[int] = []
    returned = asyncio.Event()

    async def count() -> None:
        listeners.append((await store.pubsub_numsub(room))[0][1])
        returned.set()

    tasks: list[asyncio.Task[None]] = []
    async with subscriber(wire.port) as one:
        await one.subscribe(room, heard.append)
        one.on_reconnect.append(lambda _: tasks.append(asyncio.create_task(count())))
        wire.to_server = lambda piece: [] if b"SUBSCRIBE" in piece else [piece]
        wire.cut()
        await asyncio.sleep(0.3)
        assert not tasks
        wire.to_server = None  # a subscription that is never confirmed is requested again
        async with asyncio.timeout(5):
            await returned.wait()
        assert listeners == [1]
        await store.publish(room, "back")
        await eventually(lambda: heard == [b"back"])


async def test_a_handlers_mistake_makes_nobody_deaf(
    redis_server: Redis, store: Client, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def wrong(message: bytes) -> None:
        raise RuntimeError("a mistake")

    async with subscriber(redis_server.port) as one:
        await one.subscribe(room, wrong)
        await one.subscribe(room, heard.append)
        await store.publish(room, "1")
        await store.publish(room, "2")
        await eventually(lambda: heard == [b"1", b"2"])
        assert "a mistake" in caplog.text


async def test_a_silent_wire_is_found_dead_and_replaced(
    wire: Proxy, store: Client, room: str
) -> None:
    heard: list[bytes] = []
    async with subscriber(wire.port, timeout=0.15) as one:
        await one.subscribe(room, heard.append)
        wire.to_client = lambda piece: []  # open, but nothing comes
        await asyncio.sleep(0.3)
        wire.to_client = None
        await eventually(lambda: one.is_up)
        async with asyncio.timeout(5):
            while not heard:
                await store.publish(room, "anyone?")
                await asyncio.sleep(0.05)


async def test_a_node_hears_itself_or_says_that_it_is_deaf(wire: Proxy) -> None:
    store = Store(f"redis://127.0.0.1:{wire.port}/0", "n", 0.3, Metrics())
    async with subscriber(wire.port, timeout=0.3) as one:

        async def probe() -> None:
            await one.probe(lambda *words: asyncio.ensure_future(store.publish(*words)))

        await eventually(lambda: one.is_up)
        await probe()
        wire.to_client = lambda piece: [] if b"message" in piece else [piece]
        with pytest.raises(StoreUnavailable, match="receives no messages"):
            await probe()
        wire.to_client = None
        await probe()
    await store.close()


async def test_a_store_with_its_own_links_does_not_wait_behind_the_other(
    redis_server: Redis, store: Client, room: str
) -> None:
    one = Store(redis_server.url, "n", 2.0, Metrics())
    apart = one.with_own_links(1)
    assert apart.writer == one.writer
    slow = asyncio.create_task(apart.call("BLPOP", room, 5))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        assert await one.call("PING") == b"PONG"
    assert not slow.done()
    await store.rpush(room, "now")
    assert await slow == [room.encode(), b"now"]
    await apart.close()
    assert await one.call("PING") == b"PONG", "the other connections stay open"
    await one.close()
