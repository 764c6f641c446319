"""Who may use the HTTP API, and what it answers to what is wrong."""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from tests.cluster.caller import KEY, Caller, calling, matches, played
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]


async def test_with_a_key_callers_need_it_and_players_of_a_history_do_not(
    redis_server: Redis, room: str
) -> None:
    node = Node(
        redis_server.url, "locked", COLLAB_API_KEY=KEY, COLLAB_CORS_ORIGINS="https://a.example"
    )
    right = {"Authorization": f"Bearer {KEY}"}
    async with running(node), calling(node) as (caller,):
        for shown in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {KEY}"}):
            for method, path in (
                ("GET", "/rooms"), ("GET", f"/rooms/{room}"), ("PUT", f"/rooms/{room}"),
                ("DELETE", f"/rooms/{room}"),
            ):  # fmt: skip
                status, told = await caller.ask(method, path, headers=shown)
                assert status == 401 and told["error"]["code"] == "not_allowed"
        status, _ = await caller.ask("PUT", f"/rooms/{room}", json={"code": "x"}, headers=right)
        assert status == 201
        assert (await caller.ask("GET", "/rooms", headers=right))[0] == 200
        assert (await caller.ask("GET", "/openapi.json"))[0] == 200
        assert played(await caller.history(room)) == "x"
        async with aiohttp.ClientSession() as session:
            for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
                async with session.get(
                    f"{node.url}/api/rooms/{room}/history", headers={"Origin": origin}
                ) as answer:
                    assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert KEY not in node.output()


JSON = {"Content-Type": "application/json"}


WRONG: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/rooms/a%20b", {}, 400, "bad_room"),
    ("GET", "/rooms/a%2Fb", {}, 400, "bad_room"),
    ("PUT", "/rooms/" + "x" * 129, {"json": {"code": ""}}, 400, "bad_room"),
    ("GET", "/rooms/x/history?format=xml", {}, 400, "bad_request"),
    ("GET", "/rooms?limit=0", {}, 400, "bad_request"),
    ("GET", "/rooms?limit=many", {}, 400, "bad_request"),
    ("GET", "/rooms?cursor=-1", {}, 400, "bad_request"),
    ("GET", f"/rooms?cursor={2**64}", {}, 400, "bad_request"),
    ("GET", "/rooms?curser=0", {}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"{", "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"\xff\xfe", "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"[" * 100_000, "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": ["code"]}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": {"code": "x", "bass": "y"}}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": {}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": 7}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": "x", "base": 7}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"data": b'{"code":"\\ud800"}', "headers": JSON}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": "x"}, "headers": {"If-None-Match": '"1"'}}, 400,
     "bad_request"),
    ("PUT", "/rooms/x", {"data": b'{"code":""}'}, 415, "bad_media_type"),
    ("PUT", "/rooms/x", {"data": b'{"code":""}', "headers": {"Content-Type": "(" * 2000}}, 415,
     "bad_media_type"),
    ("PUT", "/rooms/x", {"json": {"code": "é" * 140_000}}, 413, "code_too_large"),
    ("PUT", "/rooms/x", {"json": {"code": "", "base": "x" * 270_000}}, 413, "code_too_large"),
    ("PUT", "/rooms/x", {"data": "[" + " " * (2 << 20), "headers": JSON}, 413,
     "frame_too_large"),
    ("GET", "/room", {}, 404, "not_found"),
    ("GET", "", {}, 404, "not_found"),
    ("POST", "/rooms", {"json": {}}, 405, "method_not_allowed"),
    ("PATCH", "/rooms/x", {"json": {}}, 405, "method_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "word"),
    WRONG,
    ids=[f"{i}-{case[4]}" for i, case in enumerate(WRONG)],
)
async def test_what_is_wrong_is_told_in_json_with_the_fitting_status(
    callers: list[Caller], method: str, path: str, options: dict[str, Any], status: int, word: str
) -> None:
    if isinstance(data := options.get("data"), str):
        options = {**options, "data": io.BytesIO(data.encode())}
    found, told = await callers[0].ask(method, path, **options)
    assert (found, told["error"]["code"]) == (status, word) and told["error"]["message"]


PRECONDITIONS = [
    ("PUT", {"If-Match": '"1"'}), ("PUT", {"If-Match": "*"}), ("PUT", {"If-None-Match": '"1"'}),
    ("PUT", {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ("PUT", {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ("DELETE", {"If-Match": '"1"'}), ("DELETE", {"If-None-Match": "*"}),
    ("DELETE", {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "headers"), PRECONDITIONS, ids=str)
async def test_a_precondition_that_is_not_kept_is_refused_and_nothing_is_done(
    callers: list[Caller], room: str, method: str, headers: dict[str, str]
) -> None:
    await callers[0].put(room, "as it was")
    status, told = await callers[0].ask(
        method, f"/rooms/{room}", json={"code": "overwritten"}, headers=headers
    )
    assert (status, told["error"]["code"]) == (400, "bad_request")
    [header] = headers
    assert header in told["error"]["message"]
    assert ("base" in told["error"]["message"]) is (method == "PUT")
    assert (await callers[0].get(room))["code"] == "as it was"


async def test_two_conditions_of_which_one_is_kept_are_refused(
    callers: list[Caller], room: str
) -> None:
    headers = CIMultiDict([("If-None-Match", "*"), ("If-None-Match", '"1"')])
    status, _ = await callers[0].ask("PUT", f"/rooms/{room}", json={"code": "x"}, headers=headers)
    assert status == 400 and (await callers[0].ask("GET", f"/rooms/{room}"))[0] == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_can_read_what_is_wrong_with_a_history(
    redis_server: Redis, room: str, method: str
) -> None:
    page, other = "https://a.example", "https://b.example"
    node = Node(redis_server.url, "pages", COLLAB_CORS_ORIGINS=page)
    async with running(node), calling(node) as (caller,), aiohttp.ClientSession() as session:
        await caller.put(room, "x")
        for path, status in ((room, 200), (f"{room}-2", 404), (f"{room}?format=xml", 400)):
            path = path.replace("?", "/history?") if "?" in path else f"{path}/history"
            for origin in (page, other, node.url):
                async with session.request(
                    method, f"{node.url}/api/rooms/{path}", headers={"Origin": origin}
                ) as answer:
                    assert answer.status == status
                    allowed = answer.headers.get("Access-Control-Allow-Origin")
                    assert allowed == (None if origin == other else origin)
                    assert answer.headers["Vary"] == "Origin"
                    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        async with session.get(f"{node.url}/api/rooms", headers={"Origin": page}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


PLAIN = [
    ("GET", "/nowhere", 404, "not_found"),
    ("POST", "/", 405, "method_not_allowed"),
    ("GET", "/assets/nothing.js", 404, "not_found"),
    ("GET", "/yjs/r", 426, "upgrade_required"),
    ("POST", "/yjs/r", 405, "method_not_allowed"),
    ("PUT", "/socket.io/", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "word"), PLAIN)
async def test_errors_have_one_form_below_every_path(
    nodes: Nodes, method: str, path: str, status: int, word: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, nodes[0].url + path) as answer,
    ):
        told = await answer.json()
        assert answer.status == status
        assert answer.headers.get("Upgrade") == ("websocket" if status == 426 else None)
        assert ("Allow" in answer.headers) is (status == 405)
    matches("Error", told)
    assert told["error"]["code"] == word


async def test_who_set_or_ended_a_room_is_in_the_log(redis_server: Redis, room: str) -> None:
    node = Node(redis_server.url, "seen", COLLAB_API_KEY=KEY)
    proxied = {"X-Forwarded-For": "192.0.2.7, 10.0.0.1", "X-Request-Id": "0a1b"}
    right = {"Authorization": f"Bearer {KEY}", **proxied}
    async with running(node), calling(node) as (caller,):
        path = f"/rooms/{room}"
        for method, given, headers in (
            ("PUT", {"json": {"code": "sup3r größer"}}, right),
            ("PUT", {"json": {"code": "sup3r"}}, {"Authorization": f"Bearer {KEY}"}),
            ("PUT", {"json": {"code": "sup3r"}}, {**right, "If-None-Match": "*"}),
            ("DELETE", {}, {**proxied, "X-Request-Id": "not\tsane"}),
            ("DELETE", {}, right), ("DELETE", {}, right), ("GET", {}, right),
        ):  # fmt: skip
            await caller.ask(method, path, headers=headers, **given)
        await caller.ask("DELETE", "/rooms/a%0Ab", headers=right)
    lines = [json.loads(line) for line in node.output().splitlines()]
    told = [line for line in lines if line["event"] == "api request"]
    assert [(line["method"], line["outcome"]) for line in told] == [
        ("PUT", "created"), ("PUT", "merged"), ("PUT", "room_exists"), ("DELETE", "not_allowed"),
        ("DELETE", "ended"), ("DELETE", "no_such_room"), ("DELETE", "bad_room"),
    ]  # fmt: skip
    assert [line.get("bytes") for line in told[:4]] == [14, 5, 5, None]
    assert all(line["room"] == room for line in told[:-1]) and told[-1]["room"] == "a\nb"
    assert [line.get("client") for line in told[:2]] == ["192.0.2.7, 10.0.0.1", None]
    assert [line.get("request") for line in told[:4]] == ["0a1b", None, "0a1b", None]
    assert all(line["peer"] == "127.0.0.1" and line["node"] == "seen" for line in told)
    assert KEY not in node.output() and "sup3r" not in node.output()


async def test_a_compressed_body_counts_as_what_it_unpacks_to(callers: list[Caller]) -> None:
    bomb = zlib.compress(b" " * (64 << 20))
    headers = {**JSON, "Content-Encoding": "deflate"}
    status, told = await callers[0].ask("PUT", "/rooms/x", data=bomb, headers=headers)
    assert status in (400, 413), told


async def test_without_redis_it_says_503_and_nothing_was_done(
    redis_server: Redis, js: JsHost, room: str
) -> None:
    async with proxy(redis_server.port) as wire:
        node = Node(f"redis://127.0.0.1:{wire.port}/0", "cut", COLLAB_REDIS_TIMEOUT="0.3")
        async with running(node), calling(node) as (caller,):
            ada = await js.connect(node.url)
            await ada.change(room, "as it was")
            wire.refuse()
            for method, path, options in (
                ("GET", "/rooms", {}), ("GET", f"/rooms/{room}", {}),
                ("GET", f"/rooms/{room}/history", {}), ("DELETE", f"/rooms/{room}", {}),
                ("PUT", f"/rooms/{room}", {"json": {"code": "lost"}}),
            ):  # fmt: skip
                status, told = await caller.ask(method, path, **options)
                assert (status, told["error"]["code"]) == (503, "store_unavailable"), path
            wire.accept()
            await eventually(lambda: "pub/sub is back" in node.output())
            assert (await caller.get(room))["code"] == "as it was"
