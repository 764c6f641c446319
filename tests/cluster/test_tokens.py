"""Nodes that ask for tokens: who gets in, at every endpoint, and what others see of them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from tests.cluster.raw_yjs import closing, next_of, raw
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.tokens import SECRET, token
from tests.support.yjs import YjsHost

TRANSPORTS = (["websocket"], ["polling"])
POLLING = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture(scope="module")
async def closed(redis_server: Redis) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that ask for tokens."""
    pair = tuple(
        Node(redis_server.url, name, COLLAB_AUTH_SECRET=SECRET, COLLAB_LOG_LEVEL="debug")
        for name in ("a", "b")
    )
    async with running(*pair):
        yield pair[0], pair[1]
    for node in pair:
        output = node.output()
        assert "Traceback" not in output, output
        assert "eyJhbGciOi" not in output and SECRET not in output, output
        assert "open to everybody" not in output


async def is_loaded(store: redis.asyncio.Redis, room: str) -> bool:
    """Whether any node holds the room: then it listens on the room's channel."""
    return any(room.encode() in channel for channel in await store.pubsub_channels())


REFUSED: dict[str, Any] = {
    "token_missing": None,
    "token_malformed": "a.b.c",
    "token_expired": token(exp=1),
    "token_not_yet_valid": token(nbf=4e9),
    "wrong_audience": token(aud="elsewhere"),
    "bad_signature": token(secret="another secret, which is just as long as that one"),
    "algorithm_not_allowed": "eyJhbGciOiJub25lIn0.e30.AA",
    "token_too_large": "x" * 7000,
    "bad_claims": token(role="root"),
}


@pytest.mark.parametrize("transports", TRANSPORTS, ids=("websocket", "polling"))
@pytest.mark.parametrize("why", REFUSED)
async def test_a_socket_io_client_is_told_why_it_may_not_connect(
    closed: tuple[Node, Node], js: JsHost, why: str, transports: list[str]
) -> None:
    auth = {"name": "Ann"} if REFUSED[why] is None else {"token": REFUSED[why]}
    client = await js.connect(closed[0].url, wait=False, auth=auth, transports=transports)
    told = await client.until("connect_error")
    assert told["data"].keys() == {"code", "message", "reason"}
    assert (told["data"]["code"], told["data"]["reason"]) == ("unauthorized", why)
    assert told["message"] == told["data"]["message"] and not client.state("connect")


@pytest.mark.parametrize("why", REFUSED)
async def test_a_yjs_client_is_told_why_it_may_not_connect_and_gives_up(
    closed: tuple[Node, Node], yjs: YjsHost, room: str, why: str, store: redis.asyncio.Redis
) -> None:
    params = {"name": "Ann"} if REFUSED[why] is None else {"token": REFUSED[why]}
    client = await yjs.connect(closed[0].url, room, wait=False, params=params)
    final = await client.until("final")
    assert final["code"] == 4401 and client.last("close")["reason"].startswith(f"{why}: ")
    assert not await is_loaded(store, room)


async def test_a_yjs_token_for_other_rooms_is_refused_with_4403_before_the_room_is_loaded(
    closed: tuple[Node, Node], yjs: YjsHost, room: str, store: redis.asyncio.Redis
) -> None:
    shown = token(rooms=["other-*"])
    client = await yjs.connect(closed[0].url, room, wait=False, params={"token": shown})
    assert (await client.until("final"))["code"] == 4403
    assert not await is_loaded(store, room)


@pytest.mark.parametrize("event", ["join", "change", "leave"])
async def test_a_socket_io_client_gets_nothing_of_a_room_that_its_token_does_not_name(
    closed: tuple[Node, Node], js: JsHost, room: str, store: redis.asyncio.Redis, event: str
) -> None:
    await store.set(f"code_{room}", "secret")
    client = await js.connect(closed[0].url, auth={"token": token(rooms=["other"])})
    answer = await client.ask(event, {"room": room, "code": "secre"})
    wanted = "not_joined" if event == "leave" else "not_allowed"
    assert answer["error"]["code"] == wanted
    assert not await is_loaded(store, room)
    assert await store.get(f"code_{room}") == b"secret" and not client.codes


async def test_who_somebody_is_comes_from_the_token_at_every_node_and_endpoint(
    closed: tuple[Node, Node], js: JsHost, yjs: YjsHost, room: str
) -> None:
    one, other = closed
    ann = await js.connect(one.url, auth={"token": token("ann"), "name": "Mallory"})
    await ann.join(room)
    bob = await yjs.connect(other.url, room, params={"token": token("bob"), "name": "Mallory"})
    bob.do("local", field="user", value={"name": "Ann", "color": "#123456"})
    await ann.change(room, "a")
    await bob.shows("a")
    bob.insert(1, "b")
    await ann.shows("ab")
    await eventually(lambda: names(ann) == ["Ann", "Bob"])
    await eventually(lambda: "#123456" in [person["color"] for person in people(ann)])
    cat = await yjs.connect(one.url, room, params={"token": token("cat")})
    await eventually(lambda: cat.names == ["Ann", "Bob"])
    bob.do("state", value={"user": "Ann", "name": "Ann"})
    await eventually(lambda: {"user": {"name": "Bob"}, "name": "Ann"} in list(cat.states.values()))
    await bob.stored()
    url = f"{one.url}/api/rooms/{room}/history"
    async with (
        aiohttp.ClientSession(headers=bearer(token("cat", role="viewer"))) as session,
        session.get(url) as answer,
    ):
        assert answer.status == 200
        lines = [json.loads(line) async for line in answer.content]
    assert authors_of(lines) == [("ann", "Ann"), ("bob", "Bob")]


def authors_of(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the id and the name of each entry's author; the first line of a history has none."""
    return [(line["author"]["id"], line["author"]["name"]) for line in lines[1:]]


def people(client: Any) -> list[dict[str, str]]:
    told: list[dict[str, Any]] = client.of("presence")
    return told[-1]["members"] if told else []


def names(client: Any) -> list[str]:
    return [person["name"] for person in people(client)]


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
async def test_each_role_may_do_what_it_may_at_every_endpoint(
    closed: tuple[Node, Node], js: JsHost, yjs: YjsHost, room: str, role: str
) -> None:
    node, writes = closed[0], role != "viewer"
    editor = await js.connect(closed[1].url, auth={"token": token("eve")})
    await editor.change(room, "x")
    shown = token("ann", role=role, rooms=[room])
    text = await js.connect(node.url, auth={"token": shown})
    answer = await text.change(room, "xy")
    assert answer["ok"] is writes
    if not writes:
        assert answer["error"]["code"] == "not_allowed"
    seen = await yjs.connect(node.url, room, params={"token": shown})
    seen.insert(0, "z")
    if writes:
        await editor.shows("zxy")
    else:
        await eventually(lambda: yjs.complaints)
        assert "read, not write" in yjs.complaints.pop()
    async with aiohttp.ClientSession(headers=bearer(shown)) as session:
        url = f"{node.url}/api/rooms/{room}"

        async def status(method: str, target: str = url, **options: Any) -> int:
            async with session.request(method, target, **options) as answer:
                return answer.status

        assert await status("GET") == await status("GET", f"{url}/history") == 200
        put = await status("PUT", json={"code": "put"})
        assert put == (200 if writes else 403)
        assert await status("GET", f"{url}-other") == 403
        assert await status("GET", f"{node.url}/api/rooms") == 403
        assert await status("DELETE") == (204 if role == "admin" else 403)


@pytest.mark.parametrize("path", ["", "/history", "?x"])
async def test_the_api_needs_a_token_and_says_why_it_does_not_accept_one(
    closed: tuple[Node, Node], room: str, path: str
) -> None:
    for why, shown in REFUSED.items():
        if not isinstance(shown, str | None):
            continue
        headers = {} if shown is None else bearer(shown)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{closed[0].url}/api/rooms/{room}{path}", headers=headers) as answer,
        ):
            assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
            error = (await answer.json())["error"]
        assert (error["code"], error["reason"]) == ("unauthorized", why)


async def test_a_put_with_a_token_is_the_edit_of_its_bearer(
    closed: tuple[Node, Node], room: str
) -> None:
    url = f"{closed[0].url}/api/rooms/{room}"
    async with aiohttp.ClientSession(headers=bearer(token("ann|1 x%", name="Ann"))) as session:
        for headers in ({"If-None-Match": "*"}, {}):
            body = {"code": f"{len(headers)}"}
            async with session.put(url, json=body, headers=headers) as answer:
                assert answer.status in (200, 201)
        async with session.get(f"{url}/history") as answer:
            lines = [json.loads(line) async for line in answer.content]
    assert authors_of(lines) == [("ann|1 x%", "Ann")] * 2


async def test_a_page_may_ask_whether_it_may_send_its_token_for_a_history(
    closed: tuple[Node, Node], room: str
) -> None:
    node = closed[0]
    headers = {"Origin": node.url, "Access-Control-Request-Headers": "authorization"}
    async with (
        aiohttp.ClientSession() as session,
        session.options(f"{node.url}/api/rooms/{room}/history", headers=headers) as answer,
    ):
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Headers"] == "Authorization"
        assert answer.headers["Access-Control-Allow-Origin"] == node.url


# What belongs to whom


async def test_a_pid_that_is_shown_with_the_token_of_another_finds_nothing(
    closed: tuple[Node, Node], js: JsHost, room: str
) -> None:
    """Ann's connection lives on, her views stay hers, and she comes back to them."""
    one, other = closed
    ann = await js.connect(one.url, auth={"token": token("ann")})
    await ann.join(room)
    await ann.change(room, "mine")
    pid = (await ann.until("connect"))["pid"]
    for node in closed:
        thief = await js.connect(node.url, auth={"token": token("bob"), "pid": pid})
        assert (await thief.until("connect"))["pid"] != pid and not thief.codes
    assert (await ann.change(room, "mine!"))["ok"] and not ann.state("disconnect")
    ann.close()
    await ann.until("disconnect")
    thief = await js.connect(one.url, auth={"token": token("bob"), "pid": pid})
    assert (await thief.until("connect"))["pid"] != pid
    back = await js.connect(other.url, auth={"token": token("ann", jti="next"), "pid": pid})
    assert (await back.until("connect"))["pid"] == pid


async def test_a_second_connect_on_a_session_changes_nothing(
    closed: tuple[Node, Node], room: str
) -> None:
    url = closed[0].url + POLLING
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            url += "&sid=" + json.loads((await answer.text())[1:])["sid"]

        async def say(packet: str) -> None:
            async with session.post(url, data=packet) as answer:
                assert answer.status == 200

        async def hear(word: str) -> str:
            heard = ""
            while word not in heard:
                async with session.get(url) as answer:
                    assert answer.status == 200
                    heard += await answer.text()
            return heard

        await say("40" + json.dumps({"token": token("ann")}))
        first = await hear("40{")
        await say("40" + json.dumps({"token": token("bob", role="admin")}))
        told = await hear("error")
        assert "bad_event" in told and "40{" not in told and "44" not in told
        await say("420" + json.dumps(["join", {"room": room}]))
        assert '"name":"Ann"' in await hear("presence")
    assert "pid" in first


# While connected


async def test_a_socket_io_token_that_runs_out_ends_the_connection_after_a_warning(
    closed: tuple[Node, Node], js: JsHost, yjs: YjsHost, room: str
) -> None:
    text = await js.connect(closed[0].url, auth={"token": token("ann", exp=time.time() + 2)})
    await text.change(room, "a")
    seen = await yjs.connect(
        closed[0].url, room, params={"token": token("bob", exp=time.time() + 2)}
    )
    await eventually(lambda: text.of("expiring") and seen.of("expiring"))
    for client in (text, seen):
        (told,) = client.of("expiring")
        assert told["expires_in"] in (1, 2)
    assert (await text.until("disconnect"))["reason"] == "io server disconnect"
    assert text.of("error")[-1]["reason"] == "token_expired"
    final = await seen.until("final")
    assert final["code"] == 4401 and seen.last("close")["reason"].startswith("token_expired")
    other = await js.connect(closed[0].url, auth={"token": token("eve")})
    await other.join(room)
    await eventually(lambda: names(other) == ["Eve"])
    text.reopen(token=token("ann"), pid=text.connects[0]["pid"])
    await text.until_reconnected()
    assert text.connects[-1]["pid"] == text.connects[0]["pid"]
    assert (await text.change(room, "ab"))["ok"]


@pytest.mark.parametrize("transports", TRANSPORTS, ids=("websocket", "polling"))
async def test_a_new_token_is_given_without_reconnecting(
    closed: tuple[Node, Node], js: JsHost, yjs: YjsHost, room: str, transports: list[str]
) -> None:
    soon = time.time() + 2
    viewer: dict[str, Any] = {"role": "viewer", "exp": soon}
    text = await js.connect(
        closed[0].url, auth={"token": token("ann", **viewer)}, transports=transports
    )
    seen = await yjs.connect(closed[0].url, room, params={"token": token("bob", **viewer)})
    await text.join(room)
    for wrong, why in ((token("eve"), "other_subject"), ("x", "token_malformed")):
        answer = await text.ask("token", {"token": wrong})
        assert answer["error"]["reason"] == (await seen.renew(wrong))["reason"] == why
    later = int(time.time()) + 900
    answer = await text.ask("token", {"token": token("ann", exp=later)})
    assert answer == {"ok": True, "expires": later}
    answer = await seen.renew(token("bob", exp=later))
    assert answer["reason"] == "" and 890 < answer["expires_in"] <= 900
    await eventually(lambda: time.time() > soon)
    assert (await text.change(room, "now an editor"))["ok"]
    await seen.shows("now an editor")
    seen.insert(0, "both: ")
    await text.shows("both: now an editor")
    assert not text.state("disconnect") and not seen.of("close")


async def test_a_new_token_that_names_other_rooms_ends_the_membership(
    closed: tuple[Node, Node], js: JsHost, yjs: YjsHost, room: str
) -> None:
    text = await js.connect(closed[0].url, auth={"token": token("ann")})
    await text.change(room, "a")
    await text.join(f"{room}-kept")
    seen = await yjs.connect(closed[0].url, room, params={"token": token("bob")})
    assert (await text.ask("token", {"token": token("ann", rooms=[f"{room}-*"])}))["ok"]
    seen.do("token", token=token("bob", rooms=["other"]))
    assert (await seen.until("final"))["code"] == 4403
    assert [(each["code"], each["room"]) for each in text.of("error")] == [("not_allowed", room)]
    assert (await text.change(room, "b"))["error"]["code"] == "not_allowed"
    assert (await text.change(f"{room}-kept", "c"))["ok"]


async def test_a_viewer_that_becomes_an_editor_keeps_what_is_on_its_screen(
    closed: tuple[Node, Node], yjs: YjsHost, room: str
) -> None:
    bob = await yjs.connect(closed[0].url, room, params={"token": token("bob", role="viewer")})
    bob.insert(0, "typed before")
    await eventually(lambda: yjs.complaints)
    yjs.complaints.clear()
    await bob.renew(token("bob"))
    assert await bob.stored(1) == "a"
    other = await yjs.connect(closed[1].url, room, params={"token": token("eve")})
    await other.shows("typed before")


async def test_frames_about_tokens_are_refused_like_others_that_are_not_in_the_protocol(
    closed: tuple[Node, Node], room: str
) -> None:
    shown = token()
    async with raw(closed[0], room, f"?token={shown}") as wire:
        await wire.send_bytes(bytes([101, 3]) + "é!".encode())
        assert (await next_of(wire, 101))[2:].startswith(b"token_malformed")
        await wire.send_bytes(bytes([102, 1]))
        assert (await closing(wire))[0] == 1002
    async with raw(closed[0], room, f"?token={shown}") as wire:
        await wire.send_bytes(bytes([101, 9, 1]))
        assert (await closing(wire))[0] == 1002
