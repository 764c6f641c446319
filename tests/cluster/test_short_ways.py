"""What people type takes the short ways: no keystroke, commit or check wakes a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.clients import JsHost, eventually
from tests.support.long_ways import FAULT, LONG_WAY
from tests.support.processes import Node, Redis, running
from tests.support.yjs import YjsHost

LETTERS = "abcdefghijklmnopqrst"
FEW = 4
"""Long ways that a busy machine may cause: messages wait while others have used up a slice."""
CHECKS = {"COLLAB_CHECK_INTERVAL": "0.1"}
WHILE = 0.5
"""Seconds in which the room is checked a few times, and what belongs to its beginning is over."""


@pytest.fixture
async def node(redis_server: Redis) -> AsyncIterator[Node]:
    """A node that says when something takes the long way."""
    node = Node(redis_server.url, "short", **CHECKS)
    node.command = (node.command[0], "-m", "tests.support.long_ways")
    async with running(node):
        yield node


def long_ways(node: Node) -> int:
    """Return how often something has taken the long way."""
    return node.output().count(LONG_WAY)


async def test_no_keystroke_of_a_text_client_nor_its_commit_nor_a_check_needs_a_task(
    node: Node, js: JsHost, room: str
) -> None:
    ann, bob = await js.connect(node.url), await js.connect(node.url)
    await ann.join(room)
    await bob.join(room)
    for text in ("f", "first"):  # the second sends Redis the script
        await ann.change(room, text)
    await bob.shows("first")
    await asyncio.sleep(WHILE)
    before = long_ways(node)
    assert before > 0, "to join is not usual"
    for letter in LETTERS:
        text += letter
        assert (await ann.change(room, text))["ok"]
    await bob.shows(text)
    await asyncio.sleep(WHILE)
    assert long_ways(node) - before <= FEW, node.output()[-3000:]


async def test_no_keystroke_of_a_yjs_client_nor_its_commit_needs_a_task(
    node: Node, yjs: YjsHost, room: str
) -> None:
    ann, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
    for n, letter in enumerate("first"):
        ann.insert(n, letter)
        await bob.shows("first"[: n + 1])
    await asyncio.sleep(WHILE)
    before = long_ways(node)
    text = "first"
    for letter in LETTERS:
        ann.insert(len(text), letter)
        text += letter
        await bob.shows(text)
    await asyncio.sleep(WHILE)
    assert long_ways(node) - before <= FEW, node.output()[-3000:]


async def test_a_fault_in_the_short_way_is_told_to_its_text_client_alone(
    node: Node, js: JsHost, room: str
) -> None:
    ann, bob = await js.connect(node.url), await js.connect(node.url)
    await bob.join(room)
    await ann.change(room, "one")
    await bob.shows("one")
    answer = await ann.change(room, f"one {FAULT}")
    assert answer["error"]["code"] == "internal", "and not what the fault is"
    assert FAULT not in answer["error"]["message"]
    assert (await ann.change(room, f"one {FAULT}, thanks"))["ok"]
    await bob.shows(f"one {FAULT}, thanks")
    assert len(ann.connects) == 1
    assert FAULT in node.output(), "the log has the traceback"


async def test_a_fault_in_the_short_way_costs_a_yjs_client_a_connection_and_no_letter(
    node: Node, yjs: YjsHost, room: str
) -> None:
    ann, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
    ann.insert(0, "one")
    await bob.shows("one")
    ann.insert(3, f" {FAULT}")
    await bob.shows(f"one {FAULT}")
    await eventually(lambda: ann.last("close"), "its connection was closed")
    ann.insert(0, "!")
    await bob.shows(f"!one {FAULT}")
    yjs.complaints.clear()
