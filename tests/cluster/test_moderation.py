"""Somebody who is removed from a room is out of it, on every node, until its token changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.cluster.moderating import SETTINGS, Moderator, another, moderating
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.tokens import token
from tests.support.yjs import YjsHost

Nodes = tuple[Node, Node]
AT_ONCE = 1.0
"""Seconds within which every node lets somebody go who has been removed."""
TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "polling"])


@pytest.fixture(scope="module")
async def closed(redis_server: Redis) -> AsyncIterator[Nodes]:
    """Two nodes that ask for tokens."""
    pair = Node(redis_server.url, "a", **SETTINGS), Node(redis_server.url, "b", **SETTINGS)
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output() and '"level":"error"' not in node.output()


@pytest.fixture
async def moderator(closed: Nodes) -> AsyncIterator[Moderator]:
    async with moderating(closed[0]) as moderator:
        yield moderator


async def person(
    js: JsHost, node: Node, subject: str, transport: str = "websocket", shown: str = ""
) -> JsClient:
    auth = {"token": shown or token(subject)}
    return await js.connect(node.url, auth=auth, transports=[transport])


async def error_of(client: JsClient, code: str) -> dict[str, str]:
    """Wait until the client has got an ``error`` with this code, and return it."""
    found = await eventually(
        lambda: [each for each in client.of("error") if each["code"] == code],
        f"no {code}: {client.events[-5:]}", AT_ONCE,
    )  # fmt: skip
    return dict(found[-1])


@TRANSPORTS
async def test_a_removed_member_gets_a_reason_and_nothing_more_and_does_not_get_in_again(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator, transport: str
) -> None:
    who = room  # a subject of the test's own
    ann, bob = await person(js, closed[0], "ann"), await person(js, closed[1], who, transport)
    await ann.change(room, "one")
    await bob.join(room)
    await bob.join(f"{room}-2")
    await bob.shows("one")
    id = bob.connects[-1]["sid"]
    told = await moderator.act(room, id, "remove")
    assert told == {"room": room, "subject": who, "action": "remove", "connections": 1}
    error = await error_of(bob, "removed")
    assert error["room"] == room and error["message"]
    await eventually(
        lambda: [each["name"] for each in ann.of("presence")[-1]["members"]] == ["Ann"]
    )
    await ann.change(room, "two")
    for event, more in (("join", {}), ("change", {"code": "mine"})):
        answer = await bob.ask(event, {"room": room, **more})
        assert answer["error"]["code"] == "removed" and answer["error"]["room"] == room
    assert bob.codes == ["one"], "nothing that was written after the removal"
    assert (await bob.ask("leave", {"room": f"{room}-2"}))["ok"], "another room is no concern"
    assert (await ann.change(room, "three")) == {"ok": True}


async def test_every_connection_of_the_person_is_removed_on_every_node_at_both_endpoints(
    closed: Nodes, js: JsHost, yjs: YjsHost, room: str, moderator: Moderator
) -> None:
    who = room  # a subject of the test's own
    ann = await person(js, closed[0], "ann")
    await ann.change(room, "one")
    tabs = [await person(js, node, who, shown=another(who, n)) for n, node in enumerate(closed)]
    for tab in tabs:
        await tab.join(room)
    editors = [await yjs.connect(n.url, room, params={"token": token(who)}) for n in closed]
    began = time.monotonic()
    assert (await moderator.act(room, tabs[1].connects[-1]["sid"], "remove"))["connections"] == 4
    for tab in tabs:
        await error_of(tab, "removed")
    for editor in editors:
        final = await editor.until("final")
        assert final["code"] == 4403 and "removed" in editor.last("close")["reason"]
    assert time.monotonic() - began < AT_ONCE
    ann.emit("change", {"room": room, "code": "two"})
    for shown in (another(who, 0), another(who, 1), token(who)):
        for node in closed:
            again = await person(js, node, who, shown=shown)
            assert (await again.join(room))["error"]["code"] == "removed"
            editor = await yjs.connect(node.url, room, wait=False, params={"token": shown})
            assert (await editor.until("final"))["code"] == 4403
    assert [editor.text for editor in editors] == ["one", "one"]


async def test_a_removed_person_with_a_new_token_gets_in_at_both_endpoints(
    closed: Nodes, js: JsHost, yjs: YjsHost, room: str, moderator: Moderator
) -> None:
    old, new = another("bob", iat=int(time.time())), another("bob", 3, iat=int(time.time()))
    bob = await person(js, closed[1], "bob", shown=old)
    await bob.change(room, "one")
    await moderator.act(room, "bob", "remove")
    await error_of(bob, "removed")
    again = await person(js, closed[1], "bob", shown=new)
    assert (await again.join(room))["ok"]
    editor = await yjs.connect(closed[0].url, room, params={"token": new})
    await editor.shows("one")
    renewed = await bob.ask("token", {"token": new})
    assert renewed["ok"] and (await bob.join(room))["ok"], "without connecting again"
    old_editor = await yjs.connect(closed[0].url, room, wait=False, params={"token": old})
    assert (await old_editor.until("final"))["code"] == 4403


async def test_a_token_that_was_issued_long_before_the_removal_is_not_a_new_one(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator
) -> None:
    bob = await person(js, closed[0], "bob")
    await bob.join(room)
    await moderator.act(room, "bob", "remove")
    older = another("bob", iat=int(time.time()) - 60)
    client = await person(js, closed[1], "bob", shown=older)
    assert (await client.join(room))["error"]["code"] == "removed"


async def test_somebody_who_is_not_there_is_kept_out(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator
) -> None:
    old = token("carl@example.com/x", iat=int(time.time()))
    told = await moderator.act(room, "carl%40example.com%2Fx", "remove")
    assert told["subject"] == "carl@example.com/x" and told["connections"] == 0
    carl = await person(js, closed[1], "", shown=old)
    assert (await carl.join(room))["error"]["code"] == "removed"
    assert (await carl.join(f"{room}-2"))["ok"]
    later = await person(
        js, closed[1], "", shown=token("carl@example.com/x", iat=int(time.time()), jti="2")
    )
    assert (await later.join(room))["ok"], "the token was issued after the answer"


@TRANSPORTS
async def test_a_member_can_be_made_a_viewer_and_an_editor_again(
    closed: Nodes, js: JsHost, yjs: YjsHost, room: str, moderator: Moderator, transport: str
) -> None:
    ann, bob = await person(js, closed[0], "ann"), await person(js, closed[1], "bob", transport)
    await ann.change(room, "one")
    await bob.join(room)
    await bob.shows("one")
    editor = await yjs.connect(closed[1].url, room, params={"token": token("bob")})
    await moderator.act(room, bob.connects[-1]["sid"], "make_viewer")
    await asyncio.sleep(0.1)  # the node of the member has applied it by then
    assert (await bob.change(room, "one!"))["error"]["code"] == "not_allowed"
    editor.insert(0, "?")
    await eventually(lambda: yjs.complaints)
    again = await person(js, closed[0], "bob", transport)
    await again.join(room)
    assert (await again.change(room, "one!"))["error"]["code"] == "not_allowed"
    await moderator.act(room, "bob", "make_editor")
    assert (await again.change(room, "one!"))["ok"]
    await ann.shows("?one!")  # what the Yjs client had typed as a viewer is requested again
    yjs.complaints.clear()


async def test_a_removal_is_lifted_by_making_the_person_an_editor(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator
) -> None:
    bob = await person(js, closed[1], "bob")
    for _ in range(10):
        await bob.join(room)
        await moderator.act(room, "bob", "remove")
        assert (await bob.join(room))["error"]["code"] == "removed"
        await moderator.act(room, "bob", "make_editor")
        assert (await bob.change(room, "back"))["ok"]


async def test_a_viewer_by_token_can_be_made_an_editor_but_a_stranger_can_not_be_let_in(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator
) -> None:
    bob = await person(js, closed[1], "bob", shown=token("bob", role="viewer"))
    await bob.join(room)
    await moderator.act(room, "bob", "make_editor")
    assert (await bob.change(room, "mine"))["ok"]
    eve = await person(js, closed[1], "eve", shown=token("eve", rooms=["elsewhere"]))
    await moderator.act(room, "eve", "make_editor")
    assert (await eve.join(room))["error"]["code"] == "not_allowed"


async def test_whoever_enters_while_it_is_removed_does_not_stay(
    closed: Nodes, js: JsHost, yjs: YjsHost, room: str, moderator: Moderator
) -> None:
    for number in range(15):
        name = f"{room}-{number}"
        bob = await person(js, closed[1], "bob")
        joining = asyncio.create_task(bob.join(name))
        editor = await yjs.connect(
            closed[number % 2].url, name, wait=False, params={"token": token("bob")}
        )
        await asyncio.sleep(number / 1000)
        await moderator.act(name, "bob", "remove")
        await joining
        async with asyncio.timeout(1):  # in which each node has heard of it
            while "error" not in (answer := await bob.change(name, "mine")):
                pass
        assert answer["error"]["code"] == "removed"
        assert (await editor.until("final"))["code"] == 4403
        status, told = await moderator.ask("GET", f"/rooms/{name}")
        assert status == 404 or told["members"] == [], "somebody is in there"


async def test_a_removed_member_that_had_lost_its_connection_does_not_come_back(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator, stack: AsyncExitStack
) -> None:
    ann, bob = await person(js, closed[0], "ann"), await person(js, closed[1], "bob")
    await ann.change(room, "one")
    await bob.join(room)
    await bob.shows("one")
    id, pid = bob.connects[-1]["sid"], bob.connects[-1]["pid"]
    bob.close()
    await eventually(lambda: len(ann.of("presence")[-1]["members"]) == 1)
    assert (await moderator.act(room, id, "remove"))["subject"] == "bob", "the id is still known"
    for node in closed:
        auth = {"token": token("bob"), "pid": pid}
        again = await js.connect(node.url, auth=auth)
        assert (await again.change(room, "mine"))["error"]["code"] == "removed"
        assert not again.codes
    assert len(ann.of("presence")[-1]["members"]) == 1


async def test_the_records_expire(
    closed: Nodes, js: JsHost, room: str, moderator: Moderator, store: redis.asyncio.Redis
) -> None:
    bob = await person(js, closed[1], "bob", shown=token("bob", exp=int(time.time()) + 90 * 86400))
    await bob.join(room)
    await moderator.act(room, "bob", "remove")
    await moderator.act(room, "nobody", "remove")
    left = [await store.ttl(key) async for key in store.scan_iter(f"collab:{{rulings}}:*:{room}")]
    week, token_life = sorted(left)
    assert week == pytest.approx(7 * 86400, abs=30)
    assert token_life == pytest.approx(90 * 86400, abs=30), "as long as the token is valid"


# A subject's tokens


async def test_a_subject_whose_tokens_are_revoked_is_out_of_everything(
    closed: Nodes, js: JsHost, yjs: YjsHost, room: str, moderator: Moderator
) -> None:
    who = room  # a subject of the test's own
    old = token(who, iat=int(time.time()))
    ann = await person(js, closed[0], "ann")
    await ann.change(room, "one")
    tabs = [await person(js, closed[0], who, "polling", old), await person(js, closed[1], who)]
    for tab in tabs:
        await tab.join(room)
        await tab.shows("one")
    await tabs[0].join(f"{room}-2")
    editors = [await yjs.connect(node.url, room, params={"token": old}) for node in closed]
    revoking = asyncio.create_task(moderator.revoke(who))
    for tab in tabs:
        error = await error_of(tab, "unauthorized")
        assert error["reason"] == "token_revoked"
        await tab.until("disconnect")
    for editor in editors:
        assert (await editor.until("final"))["code"] == 4401
        assert editor.last("close")["reason"].startswith("token_revoked: ")
    await eventually(
        lambda: [each["name"] for each in ann.of("presence")[-1]["members"]] == ["Ann"]
    )
    assert await revoking == {"subject": who, "connections": 4}
    for node in closed:
        for shown in (old, token(who)):
            again = await js.connect(node.url, wait=False, auth={"token": shown})
            assert (await again.until("connect_error"))["message"] == "the token has been revoked"
        editor = await yjs.connect(node.url, room, wait=False, params={"token": old})
        assert (await editor.until("final"))["code"] == 4401
        async with moderating(node, old) as bob:
            status, told = await bob.ask("GET", f"/rooms/{room}/history")
            assert status == 401 and told["error"]["code"] == "unauthorized"
    new = token(who, iat=int(time.time()))
    assert (await (await person(js, closed[1], who, shown=new)).join(room))["ok"]
    assert (await ann.change(room, "two"))["ok"], "others are not concerned"


# Who may do this


async def test_only_a_key_that_may_end_rooms_and_an_admin_may_remove_people(
    closed: Nodes, room: str
) -> None:
    body = {"json": {"action": "remove"}}
    for shown, expected in {
        "": 401, "wrong": 401, token("ann"): 403, token("ann", role="viewer"): 403,
        token("ann", role="admin", rooms=["elsewhere"]): 403, token("ann", role="admin"): 200,
    }.items():  # fmt: skip
        async with moderating(closed[0], shown) as caller:
            status, told = await caller.ask("POST", f"/rooms/{room}/members/bob", **body)
            assert status == expected, (shown, told)


async def test_only_a_key_and_an_admin_of_all_rooms_may_revoke_tokens(closed: Nodes) -> None:
    for shown, expected in {
        "": 401, token("ann"): 403, token("ann", role="admin", rooms=["class-*"]): 403,
        token("ann", role="admin"): 200,
    }.items():  # fmt: skip
        async with moderating(closed[0], shown) as caller:
            status, told = await caller.ask("POST", "/subjects/mallory/revoke", json={})
            assert status == expected, (shown, told)


@pytest.mark.parametrize("body", [{}, {"action": "ban"}, {"action": None}, {"do": "remove"}, []])
async def test_a_request_that_is_not_in_the_contract_is_refused(
    moderator: Moderator, room: str, body: object
) -> None:
    status, told = await moderator.ask("POST", f"/rooms/{room}/members/bob", json=body)
    assert status == 400 and told["error"]["code"] == "bad_request"


# A service that is open to all


async def test_where_no_tokens_are_asked_for_a_connection_is_removed(
    nodes: Nodes, js: JsHost, yjs: YjsHost, room: str
) -> None:
    async with moderating(nodes[0], "") as moderator:
        ann, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
        editor = await yjs.connect(nodes[1].url, room)
        await ann.change(room, "one")
        await bob.join(room)
        await bob.shows("one")
        told = await moderator.act(room, bob.connects[-1]["sid"], "remove")
        assert told["connections"] == 1
        await error_of(bob, "removed")
        assert (await bob.change(room, "mine"))["error"]["code"] == "removed"
        members = (await moderator.get(room))["members"]
        other = next(each["id"] for each in members if each["id"] != ann.connects[-1]["sid"])
        await moderator.act(room, other, "remove")
        assert (await editor.until("final"))["code"] == 4403
        again = await js.connect(nodes[1].url)
        assert (await again.join(room))["ok"], "another connection is somebody else"
        assert (await moderator.act(room, other, "remove"))["connections"] == 0
