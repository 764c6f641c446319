"""``collab doctor`` as an operator runs it, beside nodes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from collab import cli
from collab.store.keys import kept_keys, room_keys
from collab.store.mending import KEPT_SECONDS
from tests.cluster.damage import UNREADABLE
from tests.cluster.peers import assert_one_truth, converge, peers
from tests.cluster.test_damaged_rooms import DAMAGES, TEXT, dumps, filled
from tests.support.clients import JsHost
from tests.support.ports import free_port
from tests.support.processes import Node, Process, Redis
from tests.support.redises import RedisCluster

Client = redis.asyncio.Redis
Nodes = tuple[Node, Node]


KINDS = (
    "no journal",
    "no head",
    "the head as a set",
    "the ends as a hash",
    "an author that is no text",
)
Run = Callable[..., Awaitable[tuple[int, str]]]
Examine = Callable[..., Awaitable[tuple[int, list[dict[str, Any]]]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], redis_server: Redis) -> Run:
    """Run the doctor; return its exit code and what it has printed."""

    def work(words: tuple[str, ...]) -> int:
        try:
            return cli.main(["doctor", *words])
        except SystemExit as ended:  # argparse has printed how it is used
            return int(ended.code or 0)

    async def run(*words: str, url: str = redis_server.url) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(work, ("--redis", url, *words))
        return code, "".join(capsys.readouterr())

    return run


@pytest.fixture
def examined(run: Run) -> Examine:
    async def examined(*words: str, **url: str) -> tuple[int, list[dict[str, Any]]]:
        code, output = await run("--json", *words, **url)
        return code, [json.loads(line) for line in output.splitlines()]

    return examined


async def test_a_healthy_room_and_one_that_there_is_not_have_no_findings(
    redis_server: Redis, room: str
) -> None:
    await filled(redis_server.url, room)
    words = "-m", "collab", "doctor", "--redis", redis_server.url, room, f"{room}-none"
    process = Process(sys.executable, *words)
    await process.start()
    assert await process.wait() == 0
    output = process.output()
    assert f"{room}: healthy" in output and "no such room" in output
    assert "secret" not in output


async def test_findings_are_printed_without_texts_and_mended_if_that_is_asked_for(
    redis_server: Redis, store: Client, room: str, run: Run, examined: Examine
) -> None:
    await filled(redis_server.url, room)
    await UNREADABLE["an entry of garbage"](store, room)
    code, output = await run(room)
    assert code == 1 and "entry_unreadable" in output and "--mend: " in output
    assert "secret" not in output
    assert not [await store.exists(key) for key in kept_keys(room) if await store.exists(key)]
    code, [report] = await examined("--mend", room)
    assert code == 0 and report["mended"] and not report["left"] and report["findings"]
    code, [report] = await examined(room)
    assert code == 0 and not report["findings"]
    lives = [await store.ttl(key) for key in kept_keys(room)[:3]]
    assert all(KEPT_SECONDS - 60 < life <= KEPT_SECONDS for life in lives)
    async with peers(redis_server.url, room, "a") as (node,):
        assert node.text == TEXT, "what the bad entry did not hold is all there"


async def test_all_finds_rooms_by_any_of_their_keys(
    redis_server: Redis, store: Client, room: str, run: Run, examined: Examine
) -> None:
    rooms = {kind: f"{room[:40]}-{number}" for number, kind in enumerate(KINDS)}
    for kind, name in rooms.items():
        await filled(redis_server.url, name)
        await UNREADABLE[kind](store, name)
    code, reports = await examined("--all")
    found = {report["room"]: report["findings"] for report in reports}
    assert code == 1 and all(found[name] for name in rooms.values())
    await run("--mend", *rooms.values())
    code, reports = await examined(*rooms.values())
    assert code == 0 and not any(report["findings"] for report in reports)


async def test_the_rooms_at_all_masters_of_a_cluster_are_checked_and_mended(
    the_cluster: Callable[[], Awaitable[RedisCluster]], room: str, run: Run, examined: Examine
) -> None:
    cluster = await the_cluster()
    healthy = await cluster.rooms_at_each(f"{room[:60]}-healthy")
    damaged = dict(zip(await cluster.rooms_at_each(f"{room[:60]}-damaged"), KINDS, strict=False))
    assert len(healthy) == len(damaged) == 3
    for each in (*healthy, *damaged):
        await filled(cluster.url, each)
    before = {}
    for each, kind in damaged.items():
        async with Client(port=(await cluster.master_of(f"code_{each}")).port) as master:
            await UNREADABLE[kind](master, each)
            before[each] = await dumps(master, each)
    code, reports = await examined("--all", url=cluster.url)
    found = {report["room"]: report["findings"] for report in reports}
    assert code == 1 and len(found) == len(reports)
    assert all(found[each] for each in damaged) and not any(found[each] for each in healthy)
    for each in damaged:
        async with Client(port=(await cluster.master_of(f"code_{each}")).port) as master:
            assert await dumps(master, each) == before[each], "it only looked"
        code, [report] = await examined(each, "--mend", url=cluster.url)
        assert code == 0 and report["mended"] and not report["left"]
    code, reports = await examined(*healthy, *damaged, url=cluster.url)
    assert code == 0 and not any(report["findings"] for report in reports)
    for each in (*healthy, *damaged):
        async with peers(cluster.url, each, "a") as (node,):
            assert node.text == TEXT


async def test_a_room_that_nodes_hold_is_mended_by_them(
    nodes: Nodes, store: Client, js: JsHost, room: str, examined: Examine
) -> None:
    """They have the whole document, which a text beside it could only double."""
    ada, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await bob.join(room)
    assert (await ada.change(room, TEXT))["ok"]
    await bob.shows(TEXT)
    code, [report] = await examined(room)
    assert code == 0 and report["figures"]["held by"] == 2
    for kind in ("a base of garbage", "the journal as a string"):
        await UNREADABLE[kind](store, room)
        code, [report] = await examined("--mend", room)
        assert code == 0, kind
    assert (await ada.change(room, TEXT + "!"))["ok"]
    await bob.shows(TEXT + "!")
    assert await store.get(room_keys(room)[0]) == (TEXT + "!").encode()


async def test_a_mend_does_nothing_to_a_room_that_has_changed_meanwhile(
    redis_server: Redis, store: Client, room: str, run: Run
) -> None:
    """Somebody types while a doctor mends."""
    async with peers(redis_server.url, room, "a") as (node,):
        await node.insert("begin ")
        over = asyncio.Event()

        async def type_on() -> None:
            number = 0
            while not over.is_set():
                await node.insert(f"{number} ")
                number += 1

        typing = asyncio.create_task(type_on())
        for kind in ("bytes that are no number", "no journal", "the head as a set"):
            await DAMAGES[kind](store, room)
            await run("--mend", room)
        over.set()
        await typing
        await converge(node)
        assert await assert_one_truth(store, room, node) == node.text
        words = node.text.split()[1:]
        assert words == [str(number) for number in range(len(words))] and words


async def test_what_cannot_be_checked_has_an_exit_code_of_its_own(
    run: Run, redis_server: Redis
) -> None:
    for url, *words in (
        (f"redis://127.0.0.1:{free_port()}/0", "room"),
        (redis_server.url, "no room"),
        (redis_server.url,),
        ("", "room"),
    ):
        code, output = await run(*words, url=url)
        assert code == 2 and "collab doctor" in output and "Traceback" not in output, output
