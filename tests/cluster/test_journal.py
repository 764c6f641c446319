"""Many nodes on one room's journal: whoever races, dies or goes deaf, all end with one text."""

from __future__ import annotations

import asyncio
import sys
import time
from random import Random

import pytest
import redis.asyncio

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.rooms import journal_state
from collab.rooms.journal_state import Event
from collab.store.keys import room_keys
from collab.store.records import Commit, Committed, Update
from tests.cluster.peers import (
    Peer,
    assert_one_truth,
    cluster,
    keys_restored,
    keys_saved,
    peers,
    rest,
)
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import proxy

Client = redis.asyncio.Redis


def options(random: Random) -> dict[str, int]:
    """A history that is folded often, so that folding meets everything else."""
    return {"max_entries": random.choice((4, 16, 2000))}


# Many at once


@pytest.mark.parametrize("seed", range(8))
async def test_nodes_that_commit_at_once_and_hear_badly_end_with_one_text(
    redis_server: Redis, store: Client, room: str, seed: int
) -> None:
    """Announcements are dropped, doubled and put out of order, and history is folded meanwhile."""
    random = Random(seed)
    names = "abcd"[: random.randint(2, 4)]
    async with peers(redis_server.url, room, *names, **options(random)) as nodes:
        for node in nodes:
            node.unruly = Random(seed)
        for _ in range(120):
            random.choice(nodes).type(random)
            if random.random() < 0.4:
                await asyncio.sleep(random.choice((0, 0, 0.001, 0.004)))
        await rest(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        for node in nodes:
            assert node.acknowledged == list(node.sent)
            assert all(text.count(token) == 1 for token in node.sent)


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_acknowledged_survives_nodes_killed_and_replies_lost_at_any_step(
    redis_server: Redis, store: Client, room: str, seed: int
) -> None:
    """A reply is lost after its script has run, or a node ends between any two steps."""
    random = Random(100 + seed)
    async with (
        proxy(redis_server.port) as wire,
        cluster(redis_server.url, room, **options(random)) as nodes,
    ):
        far = f"redis://127.0.0.1:{wire.port}/0"
        for name, url in (("a", far), ("b", far), ("c", redis_server.url)):
            await nodes.add(name, url=url, timeout=0.3)
        for step in range(90):
            random.choice(nodes.alive).type(random)
            chance = random.random()
            if chance < 0.08:
                wire.to_client = lambda piece: []  # scripts run, nobody hears how they ended
                await asyncio.sleep(random.choice((0, 0.002, 0.01)))
                wire.cut()
                wire.to_client = None
            elif chance < 0.13:
                wire.cut()
            elif chance < 0.2:
                await nodes.kill(random.choice(nodes.alive))
                await nodes.add(f"n{step}")
            if random.random() < 0.5:
                await asyncio.sleep(random.choice((0, 0.001, 0.005)))
        await rest(*nodes.alive)
        text = await assert_one_truth(store, room, *nodes.alive)
        everybody = nodes.dead + nodes.alive
        assert sum(len(node.acknowledged) for node in everybody) > 20
        assert all(text.count(token) == 1 for node in everybody for token in node.acknowledged)
        for node in nodes.alive:
            assert node.acknowledged == list(node.sent)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("authors", [1, 3])
async def test_a_lost_reply_doubles_no_entry_and_loses_no_acknowledgement(
    redis_server: Redis, store: Client, room: str, heard: bool, authors: int
) -> None:
    """What is typed by the same author meanwhile is an entry of its own, which is not lost."""
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.put("first ")
        await rest(node)
        wire.to_client = lambda piece: [piece] if heard and b"\nJ " in piece else []
        done = [node.put(f"{number} ", author=str(number)) for number in range(authors)]
        flown = "".join(f"{number} " for number in range(authors))
        await eventually_in(store, room, f"first {flown}")
        if heard:
            await asyncio.wait_for(asyncio.gather(*done), 1)  # it is as good as the answer
        assert all(each.done() == heard for each in done)
        later = node.put("last", author=str(authors - 1))
        wire.cut()
        wire.to_client = None
        await asyncio.gather(*done, later)
        await rest(node)
        assert await assert_one_truth(store, room, node) == f"first {flown}last"
        assert await store.xlen(room_keys(room)[1]) == authors + 2


async def test_a_commit_that_is_announced_after_its_reply_was_lost_is_not_appended_again(
    redis_server: Redis, store: Client, room: str
) -> None:
    """The announcement tells nothing of which part of what waits by then is in the journal."""
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.put("first ")
        await rest(node)
        late: list[bytes] = []
        hear, node.journal.heard = node.journal.heard, late.append  # type: ignore[assignment]
        wire.to_client = lambda piece: [piece] if b"\nJ " in piece else []
        done = node.put("second ")
        await eventually(lambda: late)
        wire.refuse()
        await eventually(lambda: node.journal._follower.waiting.flown)
        later = node.put("last")
        hear(late.pop())  # type: ignore[arg-type]
        wire.to_client = None
        wire.accept()
        node.journal.heard = hear  # type: ignore[method-assign]
        await asyncio.gather(done, later)
        await rest(node)
        assert await assert_one_truth(store, room, node) == "first second last"
        assert await store.xlen(room_keys(room)[1]) == 3


async def test_a_lost_reply_to_the_first_commit_of_a_room_begins_it_once(
    redis_server: Redis, store: Client, room: str
) -> None:
    def deafen(piece: bytes) -> list[bytes]:
        if b"\r\nJ " in piece:  # the script that begins a journal, with its announcement
            wire.to_client = lambda piece: []
        return [piece]

    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        wire.to_server = deafen
        done = node.put("only")
        await eventually_in(store, room, "only")
        wire.to_server = None
        wire.cut()
        wire.to_client = None
        await done
        await rest(node)
        assert await assert_one_truth(store, room, node) == "only"
        assert await store.xlen(room_keys(room)[1]) == 1


async def eventually_in(client: Client, room: str, text: str) -> None:
    """Wait until the snapshot is ``text``."""
    async with asyncio.timeout(5):
        while await client.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)


async def test_in_a_saturated_room_nodes_append_unseen_and_settle_the_snapshot_after(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_state, "REFUSALS_BEFORE_APPEND", 0)
    random = Random(7)
    async with peers(redis_server.url, room, "a", "b", "c", max_entries=16) as nodes:
        await nodes[0].put(".")
        for node in nodes:
            node.deaf = True  # so each of them is always behind when it commits
        for _ in range(60):
            random.choice(nodes).type(random)
            await asyncio.sleep(random.choice((0, 0.001)))
        for node in nodes:
            await node.journal.flush()
            node.deaf = False
        await rest(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)


async def test_a_settle_owed_by_a_node_that_died_is_paid_by_those_that_live(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.put("seen ")
        await rest(node, other)
        before = node.journal.last
        dying = Replica()
        dying.apply_update(node.journal.replica.state())
        update = dying.edit(Delta.of(5, "and gone"))
        await node.put("!", 0)
        await rest(node, other)
        answer = await node.store.commit(
            room, node.journal.epoch or "", before, Commit([Update("", update)], update, "", 1800),
            exact=False,
        )  # fmt: skip
        assert isinstance(answer, Committed)
        assert [entry.update for entry in answer.missed] != []
        assert await store.get(f"code_{room}") == b"!seen "
        await rest(node, other)
        assert await assert_one_truth(store, room, node, other) == "!seen and gone"


async def test_an_announcement_heard_while_the_journal_is_being_read_is_not_forgotten(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be of a commit that the script did not see; nothing else would tell until a check."""
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await other.put("one ")
        await rest(node, other)
        read, late = node.store.read, "two "

        async def slow_read(*asked: object) -> object:
            nonlocal late
            reading = await read(*asked)  # type: ignore[arg-type]
            if late:
                said, late = late, ""
                node.deaf = True
                await other.put("missed ")
                node.deaf = False
                await other.put(said)
                await asyncio.sleep(0.05)  # it is heard, and there is a gap before it
            return reading

        monkeypatch.setattr(node.store, "read", slow_read)
        node.journal._state.on(Event.MISSED)
        node.journal._kick()
        await eventually(lambda: node.text == "one missed two ", within=1)


# History


@pytest.mark.parametrize("bound", ["entries", "bytes"])
async def test_history_is_bounded_and_folding_while_others_commit_loses_nothing(
    redis_server: Redis, store: Client, room: str, bound: str
) -> None:
    random = Random(11)
    limits = {"max_entries": 10} if bound == "entries" else {"max_bytes": 1500}
    most = 0
    async with peers(redis_server.url, room, "a", "b", "c", **limits) as nodes:
        for _ in range(200):
            random.choice(nodes).type(random)
            if random.random() < 0.7:
                await asyncio.sleep(0.001)
            _, stream, head = room_keys(room)
            entries = await store.xrange(stream)
            size = sum(len(fields[b"u"]) for _, fields in entries)
            most = max(most, len(entries) if bound == "entries" else size)
            if entries:
                assert int(await store.hget(head, "bytes") or 0) >= 0
        await rest(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)
        entries = await store.xrange(stream)
        assert int(await store.hget(head, "bytes")) == sum(len(f[b"u"]) for _, f in entries)
    assert 0 < most <= (40 if bound == "entries" else 6000)
    async with peers(redis_server.url, room, "d") as (cold,):
        assert cold.text == text


async def test_a_room_that_never_rests_is_folded_all_the_same(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something waits at every moment, so what comes after committing would never get its turn."""
    async with peers(redis_server.url, room, "a", max_entries=8) as (node,):
        compact = node.store.compact
        folded: list[bool] = []

        async def spied(*asked: object) -> bool:
            folded.append(bool(node.journal._follower.waiting))
            return await compact(*asked)  # type: ignore[arg-type]

        monkeypatch.setattr(node.store, "compact", spied)
        async with asyncio.timeout(10):
            while len(folded) < 3:
                node.put("x")
                await asyncio.sleep(0)
        assert all(folded), "it came to folding only when nothing waited"
        assert await store.xlen(room_keys(room)[1]) <= 24
        await rest(node)
        await assert_one_truth(store, room, node)


async def test_a_fold_of_what_redis_has_lost_is_refused(
    redis_server: Redis, store: Client, room: str
) -> None:
    """A base that ends behind the journal's end would make every node seem to be in order."""
    async with peers(redis_server.url, room, "a") as (node,):
        await node.put("kept ")
        saved = await keys_saved(store, room)
        await node.put("lost")
        reading = await node.store.read(room, None, (0, 0))
        await keys_restored(store, room, saved)
        assert reading.epoch is not None
        last = reading.entries[-1].id
        assert not await node.store.compact(
            room, reading.epoch, reading.base_id, last, node.journal.replica.state(), 0
        )
        assert await store.hget(room_keys(room)[2], "base") == b""
        await rest(node)
        assert await assert_one_truth(store, room, node) == "kept lost"


async def test_a_room_of_twenty_thousand_edits_opens_cold_in_a_moment(
    redis_server: Redis, store: Client, room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(1)
    cursor = 0
    async with peers(redis_server.url, room, "a") as (node,):
        for number in range(20_000):
            size, chance = len(node.text), random.random()
            if chance < 0.03:
                cursor = random.randint(0, size)  # a click elsewhere
            if 0.03 < chance < 0.15 and cursor:
                node.cut(cursor - 1, cursor)
                cursor -= 1
            elif chance > 0.999:
                node.cut(size // 4, size // 2)
                cursor = size // 4
            else:
                word = random.choice(("x", " ", "= 1", "\n"))
                node.put(word, cursor)
                cursor += len(word)
            if number % 10 == 9:
                await node.journal.flush()
        await rest(node)
        entries = await store.xlen(room_keys(room)[1])
        took = []
        for _ in range(3):
            cold = Peer(redis_server.url, "cold", room)
            await cold.store.open(5)
            began = time.perf_counter()
            await cold.journal.open()
            took.append(time.perf_counter() - began)
            assert cold.text == node.text
            await cold.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n20,000 edits ({entries} entries, {len(node.text)} characters) open cold in "
            f"{min(took) * 1000:.1f} to {max(took) * 1000:.1f} ms\n"
        )
    assert min(took) < 0.3


# Redis comes back other than it was


async def test_redis_emptied_is_given_everything_back_with_the_time_that_was_left(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as nodes:
        await nodes[0].put("one ")
        await nodes[1].put("two ")
        await rest(*nodes)
        for key in room_keys(room):
            await store.pexpire(key, 100_000)
        await rest(*nodes)  # they check, and see when the room is going to end
        await store.delete(*room_keys(room))
        await rest(*nodes)
        assert sorted((await assert_one_truth(store, room, *nodes)).split()) == ["one", "two"]
        assert {round(await store.pttl(key) / 10_000) for key in room_keys(room)} == {10}
        assert await store.xlen(room_keys(room)[1]) == 1, "every holder wrote it back"


@pytest.mark.parametrize("seed", range(6))
async def test_redis_gone_back_in_time_or_emptied_while_people_type_loses_nothing(
    redis_server: Redis, store: Client, room: str, seed: int
) -> None:
    random = Random(200 + seed)
    async with peers(redis_server.url, room, "a", "b", "c", **options(random)) as nodes:
        await nodes[0].put("^]")
        await rest(*nodes)
        saved = await keys_saved(store, room)
        for _ in range(100):
            random.choice(nodes).type(random)
            chance = random.random()
            if chance < 0.05:
                await keys_restored(store, room, saved)
            elif chance < 0.08:
                await store.delete(*room_keys(room))
            elif chance < 0.15 and await store.exists(room_keys(room)[1]):
                saved = await keys_saved(store, room)
            if random.random() < 0.5:
                await asyncio.sleep(random.choice((0, 0.001, 0.004)))
        await rest(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)
        assert all(node.acknowledged == list(node.sent) for node in nodes)


async def test_an_entry_id_is_never_given_twice_even_if_redis_and_its_clock_go_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Else a node that holds the lost entry takes the other one for it, and is apart for good."""
    _, stream, head = room_keys(room)
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.put("x")
        seconds, _ = await store.time()
        ahead = f"{(seconds + 86400) * 1000}-7"  # by a clock that was a day ahead
        await store.xadd(stream, {"a": "", "u": b"\0\0"}, id=ahead)
        await store.hset(head, "tail", ahead)
        await rest(node, other)
        saved = await keys_saved(store, room)
        await node.put("lost")
        await rest(node, other)
        lost = node.journal.last
        other.deaf = True
        await keys_restored(store, room, saved)
        async with peers(redis_server.url, room, "c") as (cold,):
            await cold.put("else")
            assert cold.journal.last != lost
            other.deaf = False
            await rest(node, other, cold)
            assert sorted(await assert_one_truth(store, room, node, other, cold)) == sorted(
                "xlostelse"
            )


async def test_scripts_that_redis_forgot_are_sent_again(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a") as (node,):
        await node.put("one ")
        await store.script_flush()
        await node.put("two")
        await store.script_flush()
        await rest(node)
        assert await assert_one_truth(store, room, node) == "one two"


# Expiry


async def test_what_is_written_back_never_shortens_a_life_that_others_gave(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as (node, other):
        await node.put("kept ")
        await rest(node, other)
        node.deaf = True
        node.journal._follower.set_deadline(asyncio.get_running_loop().time() + 5)
        await store.delete(*room_keys(room))
        await other.put("new")  # writes all back, for ten minutes
        node.deaf = False
        late = node.journal.replica.edit(Delta.of("~"))
        node.shown = node.text
        node.journal._follower.waiting.add("", late)
        node.journal._follower.waiting.want_whole(5)
        await rest(node, other)
        await assert_one_truth(store, room, node, other)
        for key in room_keys(room):
            assert await store.ttl(key) > 500


async def test_every_node_knows_a_rooms_deadline_from_what_is_announced(
    redis_server: Redis, store: Client, room: str
) -> None:
    """One that thinks it later than it is takes the room's end for a loss and brings it back."""
    clock = asyncio.get_running_loop().time
    await store.set(f"code_{room}", "starter", ex=50)
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as (node, other):
        assert 45 < node.journal._follower.deadline - clock() <= 50
        assert 45 < other.journal._follower.deadline - clock() <= 50
        assert 45 < await store.ttl(f"code_{room}") <= 50
        await other.journal.touch()
        await eventually(lambda: node.journal._follower.deadline - clock() > 590)
        for key in room_keys(room):
            assert await store.ttl(key) > 590
        for key in room_keys(room):
            await store.expire(key, 50)
        node.journal._follower.waiting.want_whole(5)  # as if it had been lost
        node.journal._kick()
        await eventually(lambda: 45 < other.journal._follower.deadline - clock() <= 50)


async def test_an_idle_room_expires_is_not_brought_back_by_checks_and_lives_with_the_next_change(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=1.2) as (node, other):
        await node.put("old ")
        await rest(node, other)
        await asyncio.sleep(1.3)
        for _ in range(5):
            await rest(node, other)
            assert not await store.exists(*room_keys(room))
        await other.put("and new")
        await rest(node, other)
        assert await assert_one_truth(store, room, node, other) == "old and new"


async def dead(client: Client, room: str, *nodes: Peer) -> None:
    """Let a room end, as its nodes see it."""
    for node in nodes:
        node.journal._follower.set_deadline(0)
    await client.delete(*room_keys(room))
    for node in nodes:
        node.journal.check()
        await node.journal.flush()
    assert not await client.exists(*room_keys(room))


@pytest.mark.parametrize("cold_first", [False, True])
@pytest.mark.parametrize("typing", [False, True])
async def test_a_starter_written_over_a_dead_room_wins_whoever_holds_it_open(
    redis_server: Redis, store: Client, room: str, cold_first: bool, typing: bool
) -> None:
    """What the holders tell of their old text must make sense to a node that never had it."""
    async with cluster(redis_server.url, room, "a", "b", ttl=600.0) as nodes:
        node, other = nodes.alive
        await node.put("what was asked last week")
        await rest(node, other)
        await dead(store, room, node, other)
        await store.set(f"code_{room}", "a new question\n", ex=300)
        if cold_first:
            cold = await nodes.add("c")
            assert cold.text == "a new question\n"
        if typing:
            node.put("! ")  # before it has seen that there is a starter
        await rest(*nodes.alive)
        if not cold_first:
            await nodes.add("c")
        text = await assert_one_truth(store, room, *nodes.alive)
        assert text.replace("! ", "") == "a new question\n"
        assert text.count("! ") == typing
        assert await store.ttl(f"code_{room}") > 290
        for peer in list(nodes.alive):
            await peer.put(f"# {peer.name} ", 0)
        await rest(*nodes.alive)
        await nodes.add("d")
        assert "# c " in await assert_one_truth(store, room, *nodes.alive)


async def test_a_journal_that_began_with_a_starter_is_no_new_starter_when_it_comes_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Redis is emptied, the room goes on, and then an old dump is loaded: nothing is over."""
    await store.set(f"code_{room}", "starter ", ex=600)
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        saved = await keys_saved(store, room)
        await node.put("one ")
        await rest(node, other)
        await store.delete(*room_keys(room))
        await rest(node, other)
        await other.put("two")
        await rest(node, other)
        await keys_restored(store, room, saved)
        await rest(node, other)
        assert await assert_one_truth(store, room, node, other) == "starter one two"


# Other services


async def test_nodes_that_begin_rooms_from_the_same_text_at_once_build_one_copy_of_each(
    redis_server: Redis, store: Client, room: str
) -> None:
    for number in range(20):
        name = f"{room}{number}"
        await store.set(f"code_{name}", "def f(): 🐍\n", ex=600)
        async with cluster(redis_server.url, name) as nodes:
            await asyncio.gather(*(nodes.add(each) for each in "abc"))
            await rest(*nodes.alive)
            assert await assert_one_truth(store, name, *nodes.alive) == "def f(): 🐍\n"
            assert await store.xlen(room_keys(name)[1]) == 1


async def test_a_text_that_appears_in_an_open_empty_room_is_taken_up_with_what_is_typed(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await store.set(f"code_{room}", "starter", ex=600)
        node.put("typed ")
        await rest(node, other)
        text = await assert_one_truth(store, room, node, other)
        assert "starter" in text and "typed " in text


@pytest.mark.parametrize("wrong", ["written over", "deleted", "another type of bytes"])
async def test_a_live_rooms_snapshot_is_mended(
    redis_server: Redis, store: Client, room: str, wrong: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.put("the truth")
        await rest(node, other)
        if wrong == "deleted":
            await store.delete(f"code_{room}")
        else:
            await store.set(f"code_{room}", b"nonsense \xff")
        await rest(node, other)
        assert await assert_one_truth(store, room, node, other) == "the truth"
        assert await store.ttl(f"code_{room}") > 1700


@pytest.mark.parametrize("half", [1, 2], ids=["without stream", "without head"])
async def test_half_a_journal_is_none_and_is_made_whole_by_who_holds_the_room(
    redis_server: Redis, store: Client, room: str, half: int
) -> None:
    async with cluster(redis_server.url, room, "a", "b") as nodes:
        node, other = nodes.alive
        await node.put("all of it")
        await rest(node, other)
        await store.delete(room_keys(room)[half])
        await rest(node, other)
        assert await assert_one_truth(store, room, node, other) == "all of it"
        for peer in list(nodes.alive):
            await nodes.kill(peer)
        await store.delete(room_keys(room)[half])
        await nodes.add("c")
        assert await assert_one_truth(store, room, *nodes.alive) == "all of it"


async def test_a_bad_entry_is_passed_over_by_all_alike_and_the_room_goes_on(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Hands other than this service's wrote into the journal; the room must still open."""
    _, stream, head = room_keys(room)
    async with cluster(redis_server.url, room, "a", max_entries=6) as nodes:
        (node,) = nodes.alive
        await node.put("good ")
        await store.hset(head, "tail", await store.xadd(stream, {"a": "", "u": b"\xff nonsense"}))
        await rest(node)
        await node.put("still good")
        cold = await nodes.add("b")
        await rest(node, cold)
        for peer in (node, cold):
            assert peer.text == "good still good"
        for number in range(10):
            await cold.put(str(number), author=str(number))
        await rest(node, cold)
        text = await assert_one_truth(store, room, node, cold)  # the bad one has been folded away
        assert text == "good still good0123456789"


# Nodes that go wrong


async def test_a_mistake_in_the_journals_work_is_logged_and_ends_nothing(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.put("one ")
        for step in ("commit", "read", "check"):
            right = getattr(node.store, step)

            def wrong(*_: object, right: object = right, step: str = step, **__: object) -> None:
                monkeypatch.setattr(node.store, step, right)
                raise RuntimeError(f"a mistake in {step}")

            monkeypatch.setattr(node.store, step, wrong)
            if step == "read":
                node.journal._state.on(Event.MISSED)
            node.journal.check()
            await node.put(f"{step} ")
            await rest(node, other)
            assert f"a mistake in {step}" in caplog.text
        assert await assert_one_truth(store, room, node, other) == "one commit read check "


async def test_a_replica_that_went_astray_gives_and_gets_what_is_missing(
    redis_server: Redis, store: Client, room: str
) -> None:
    """However a node came to be apart, the next check finds it by the snapshot and mends both."""
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.put("one ")
        await rest(node, other)
        other.deaf = True
        await node.put("two ")
        other.journal._follower.last = node.journal.last  # as if it had been applied
        delta = Delta.of(4, "three")
        other.journal.replica.edit(delta)  # and this had been committed
        other.shown = delta.apply(other.shown)
        other.deaf = False
        await rest(node, other)
        text = await assert_one_truth(store, room, node, other)
        assert sorted(text.split()) == sorted(["one", "two", "three"]) or "two" in text


async def test_a_node_started_again_with_its_old_name_applies_what_it_said_before(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Also two nodes that were given one name: neither takes the other's entries for its own."""
    async with peers(redis_server.url, room, "a", "a") as (node, namesake):
        await node.put("one ")
        await eventually(lambda: namesake.text == "one ", within=1)
        await namesake.put("two")
        await eventually(lambda: node.text == "one two", within=1)
        await rest(node, namesake)
        await assert_one_truth(store, room, node, namesake)


async def test_a_room_closed_while_its_journal_waits_says_so_and_stays_closed(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.put("kept")
        wire.stall()
        done = node.put("given up")
        await asyncio.sleep(0)
        await node.journal.close()
        with pytest.raises(StoreUnavailable):
            await done
        node.journal.check()
        assert not node.journal._worker.busy
        with pytest.raises(StoreUnavailable):
            await node.journal.touch()
