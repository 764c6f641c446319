"""The benchmark counts what happens: on the relay that is its yardstick, and on the service."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator

import pytest
import redis

from loadtest import capacity_check
from loadtest.ageing import age_rooms
from loadtest.bench import count_unstored
from loadtest.commits import commit, start_journals
from loadtest.costs import Costs
from loadtest.load import Load, Outcome, Unusable, run_load
from loadtest.members import Room, TextMember, text_with
from loadtest.processes import SERVICE, Cores, Meter, Redis, Server, redis_server, relay, service

UNPINNED = Cores()
RATE, ROOMS, MEMBERS, SECONDS = 5.0, 4, 3, 0.6
KINDS = "text", "yjs"
_prefixes = (f"bench-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def store() -> Iterator[Redis]:
    with redis_server(UNPINNED) as store:
        yield store


@pytest.fixture(scope="module")
def two_nodes(store: Redis) -> Iterator[list[Server]]:
    with service(store, UNPINNED, nodes=2) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with relay(UNPINNED) as server:
        yield server


async def run_small_load(kind: str, servers: list[Server], store: Redis | None) -> Outcome:
    load = Load(ROOMS, kind, members=MEMBERS, rate=RATE, warm_up=0.4, seconds=SECONDS)
    ports = [server.port for server in servers]
    return await run_load(load, ports, Meter(servers, store), prefix=next(_prefixes))


def check_counts(outcome: Outcome) -> None:
    assert outcome.changes == ROOMS * RATE * SECONDS
    assert outcome.delivered == outcome.changes * (MEMBERS - 1)
    assert (outcome.lost, outcome.wrong, outcome.errors) == (0, 0, [])
    assert 0 < outcome.p50 <= outcome.p99 <= outcome.p999


@pytest.mark.parametrize("kind", KINDS)
async def test_every_letter_that_goes_through_the_relay_is_counted(
    kind: str, plain: Server
) -> None:
    outcome = await run_small_load(kind, [plain], None)
    check_counts(outcome)
    assert len(outcome.usage.servers) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_every_letter_that_goes_through_two_nodes_is_counted_and_stored(
    kind: str, two_nodes: list[Server], store: Redis
) -> None:
    outcome = await run_small_load(kind, two_nodes, store)
    check_counts(outcome)
    assert len(outcome.usage.servers) == 2
    assert count_unstored(store, outcome.texts, patience=5.0) == 0
    wrong = {**outcome.texts, "bench-no-such-room": "x"}
    assert count_unstored(store, wrong, patience=0.0) == 1


async def test_a_load_whose_members_do_not_meet_has_no_result(
    plain: Server, two_nodes: list[Server]
) -> None:
    load = Load(1, patience=0.5)
    with pytest.raises(Unusable):
        await run_load(load, [plain.port, two_nodes[0].port], Meter([plain]), prefix="apart")


async def test_letters_that_do_not_arrive_are_lost() -> None:
    load = Load(1, rate=20.0, warm_up=0.0, seconds=1.0, patience=0.1)
    with relay(UNPINNED) as server:
        asyncio.get_running_loop().call_later(0.5, os.kill, server.pid, signal.SIGKILL)
        outcome = await run_load(load, [server.port], Meter([server]))
    assert outcome.changes == 20
    assert outcome.lost == outcome.changes - outcome.delivered > 0
    assert outcome.wrong == 1
    assert len(outcome.errors) == 2 and not outcome.nothing_lost


async def test_an_aged_room_shows_the_text_that_it_began_with(two_nodes: list[Server]) -> None:
    room = Room("bench-aged", 500)
    await age_rooms([room], two_nodes[0].port, edits=1000)
    member = await TextMember.enter(room, two_nodes[1].port)
    await member.first_text
    member.close()
    assert member.final_text() == text_with(0, 500)


def test_the_links_and_the_memory_of_a_node_are_as_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CPU time is not compared: this machine does other things too."""
    monkeypatch.setattr(capacity_check, "ATTEMPTS", 1)
    load = Load(20, warm_up=0.5, seconds=1.5)
    comparisons = capacity_check.check_node(load, Costs.read(), UNPINNED, SERVICE)
    compared = {each.what: each for each in comparisons}
    for what in ("from clients", "from Redis", "memory of the node"):
        assert compared[what].close, compared[what]
    assert compared["CPU of the node"].measured > 0 and compared["CPU of Redis"].measured > 0


async def test_commits_without_nodes_fill_the_journals(store: Redis) -> None:
    journals = start_journals(store, 6, 100)
    rate = await commit(store, journals, connections=2, together=3, edits=4)
    assert rate.commits == 24 and rate.redis > 0 and rate.of_a_core > 0
    with redis.Redis.from_url(store.url) as client:
        for journal in journals:
            code, entries, head, _ = journal.keys
            assert client.xlen(entries) == 5 and client.get(code) == text_with(0, 100).encode()
            assert client.hget(head, "tail") == journal.last


async def test_a_commit_that_is_refused_ends_the_measurement(store: Redis) -> None:
    [journal] = start_journals(store, 1, 50, "refused")
    journal.last = b"7-7"
    with pytest.raises(RuntimeError, match="refused"):
        await commit(store, [journal], connections=1, together=1, edits=1)
