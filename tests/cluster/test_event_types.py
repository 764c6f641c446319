"""What the service sends is what docs/clients/events.d.ts says, field by field."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import JsHost, eventually
from tests.support.processes import ROOT, Node, Redis, running
from tests.support.tokens import SECRET, token

TYPES = ROOT / "docs" / "clients" / "events"
CLIENTS = ROOT / "tests" / "js"
EVENTS = ("receive", "presence", "error", "expiring")


async def refusals_of(values: list[tuple[str, Any]], folder: Path) -> str:
    """Let TypeScript compile values of given types as literals: no field may be missing or more."""
    lines = [
        f'import type * as events from "{TYPES}";',
        "type Told<Event extends keyof events.ServerToClientEvents> =",
        "  Parameters<events.ServerToClientEvents[Event]>[0];",
        "type Answered<Event extends keyof events.ClientToServerEvents> = Parameters<",
        "  NonNullable<Parameters<events.ClientToServerEvents[Event]>[1]>>[0];",
        *(f"export const value{n}: {kind} = {json.dumps(value)};"
          for n, (kind, value) in enumerate(values)),
    ]  # fmt: skip
    (folder / "values.ts").write_text("\n".join(lines))
    compiler = await asyncio.create_subprocess_exec(
        "node_modules/.bin/tsc", "--ignoreConfig", "--noEmit", "--strict", "--module", "preserve",
        "--types", "", str(folder / "values.ts"),
        cwd=CLIENTS, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await compiler.communicate()
    return output.decode()


@pytest.fixture(scope="module")
async def node(redis_server: Redis) -> AsyncIterator[Node]:
    node = Node(redis_server.url, "typed", COLLAB_AUTH_SECRET=SECRET)
    async with running(node):
        yield node


async def test_what_the_service_sends_has_the_documented_fields_and_no_others(
    node: Node, js: JsHost, room: str, tmp_path: Path
) -> None:
    ada = await js.connect(node.url, auth={"token": token("ada", exp=time.time() + 50)})
    eve = await js.connect(node.url, auth={"token": token("eve", rooms=["another"])})
    bob = await js.connect(node.url, auth={"token": token("bob")})
    stranger = await js.connect(node.url, wait=False)
    answers: list[tuple[str, Any]] = []

    async def ask(client: Any, event: str, **fields: Any) -> None:
        answers.append((f'Answered<"{event}">', await client.ask(event, fields)))

    for client in (ada, bob):
        await ask(client, "join", room=room)
    await ask(ada, "change", room=room, code="x")
    await bob.shows("x")
    await ask(ada, "change", room=room, code=7)
    await ask(eve, "join", room=room)
    await ask(ada, "token", token=token("ada"))
    await ask(ada, "token", token="no token")
    await ask(ada, "leave", room=room)
    await ask(ada, "leave", room=room)
    await eventually(lambda: ada.of("expiring"))
    told = [
        (f'Told<"{event}">', payload)
        for client in (ada, bob, eve)
        for event, payload in client.events
    ]
    assert {event for client in (ada, bob, eve) for event, _ in client.events} == set(EVENTS)
    refused = await stranger.until("connect_error")
    values = [*answers, *told, ("events.Problem", refused["data"])]
    assert await refusals_of(values, tmp_path) == ""


async def test_the_compiler_would_notice_a_field_that_is_missing_or_not_documented(
    tmp_path: Path,
) -> None:
    text = {"type": "receive", "code": "x", "room": "r"}
    values: list[tuple[str, Any]] = [
        ('Told<"receive">', text),
        ('Told<"receive">', text | {"author": "ada"}),
        ('Told<"receive">', {"type": "receive", "code": "x"}),
        ('Answered<"join">', {"ok": True, "room": "r"}),
    ]
    refused = await refusals_of(values, tmp_path)
    assert [f"value{n}" in refused or f"({n + 6}," in refused for n in range(4)] == [
        False, True, True, True,
    ]  # fmt: skip
