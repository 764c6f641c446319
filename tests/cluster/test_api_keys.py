"""Keys of the HTTP API with scopes, at a real node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.caller import calling, matches
from tests.support.processes import Node, Redis, running

READER, WRITER, ENDER, NEXT = (f"{n}{'0123456789abcdef' * 2}" for n in range(4))
KEYS = f"""
reader:read:{READER}
writer:write:{WRITER}
ender:end:{ENDER}
next:read+write+end:{NEXT}
"""


def shown(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("form", ["COLLAB_API_KEYS", "COLLAB_API_KEYS_FILE"])
async def test_each_key_does_what_its_scopes_say_and_is_told_which_it_lacks(
    redis_server: Redis, room: str, tmp_path: Path, form: str
) -> None:
    (tmp_path / "keys").write_text(KEYS)
    given = KEYS if form == "COLLAB_API_KEYS" else str(tmp_path / "keys")
    node = Node(redis_server.url, "scoped", **{form: given})
    path = f"/rooms/{room}"
    wanted: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
        "read": [("GET", path, {}), ("HEAD", path, {}), ("GET", "/rooms", {})],
        "write": [("PUT", path, {"json": {"code": "x"}})],
        "end": [("DELETE", path, {})],
    }
    async with running(node), calling(node) as (caller,), aiohttp.ClientSession() as session:
        for key, own in ((READER, "read"), (WRITER, "write"), (ENDER, "end"), (NEXT, "all")):
            await caller.ask("PUT", path, json={"code": "x"}, headers=shown(NEXT))
            for scope, requests in wanted.items():
                for method, target, body in requests:
                    async with session.request(
                        method, f"{node.url}/api{target}", headers=shown(key), **body
                    ) as answer:
                        told = await answer.read()
                    if own in (scope, "all"):
                        assert answer.status in (200, 201, 204), (own, method)
                        continue
                    assert answer.status == 403, (own, method)
                    named = f'Bearer error="insufficient_scope", scope="{scope}"'
                    assert answer.headers["WWW-Authenticate"] == named
                    if method != "HEAD":
                        matches("Error", json.loads(told))
                        error = json.loads(told)["error"]
                        assert error["code"] == "not_allowed" and scope in error["message"]
    assert not any(key in node.output() for key in (READER, WRITER, ENDER, NEXT))


async def test_no_key_and_a_wrong_key_are_401_with_different_reasons(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "scoped", COLLAB_API_KEYS=KEYS)
    async with running(node), calling(node) as (caller,):
        reasons = set()
        for headers in ({}, shown(READER[:-1])):
            status, told = await caller.ask("GET", f"/rooms/{room}", headers=headers)
            assert status == 401 and told["error"]["code"] == "not_allowed"
            reasons.add(told["error"]["message"])
        assert len(reasons) == 2


async def test_a_key_that_may_only_write_reads_nothing_of_what_others_wrote(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "scoped", COLLAB_API_KEYS=KEYS)
    async with running(node), calling(node) as (caller,):
        path = f"/rooms/{room}"
        await caller.ask("PUT", path, json={"code": "theirs\n"}, headers=shown(NEXT))
        merge = {"json": {"base": "", "code": "mine\n"}}
        status, told = await caller.ask("PUT", path, headers=shown(WRITER), **merge)
        matches("Stored", told)
        assert (status, told) == (200, {"room": room, "node": "scoped"})
        _, told = await caller.ask("PUT", path, headers=shown(NEXT), **merge)
        assert "theirs" in told["code"]


async def test_the_log_says_which_key_set_or_ended_a_room_so_that_an_old_one_can_be_retired(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "scoped", COLLAB_API_KEYS=KEYS, COLLAB_API_KEY="of-before")
    async with running(node), calling(node) as (caller,):
        for method, key in (("PUT", WRITER), ("PUT", "of-before"), ("DELETE", ENDER)):
            await caller.ask(method, f"/rooms/{room}", json={"code": "x"}, headers=shown(key))
        await caller.ask("DELETE", f"/rooms/{room}", headers=shown(READER))
    lines = [json.loads(line) for line in node.output().splitlines()]
    told = [line for line in lines if line["event"] == "api request"]
    assert [line.get("key") for line in told] == ["writer", "COLLAB_API_KEY", "ender", None]
