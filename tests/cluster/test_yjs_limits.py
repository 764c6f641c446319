"""Hostile frames of one Yjs client: they are refused with a reason and disturb nobody else."""

from __future__ import annotations

import pytest

from collab.yjs import protocol
from tests.cluster.raw_yjs import closing, raw
from tests.support import forge
from tests.support.clients import eventually
from tests.support.processes import Node, Redis, running
from tests.support.yjs import YjsHost

TOO_LARGE = 4413
UPDATES = {
    "types that lie in each other": forge.nested(7, 40_000),
    "letters typed one by one": forge.typed(7, 100_000),
    "values put one behind the other": forge.values(7, 20_000),
    "letters that are compared with all others": forge.conflicting(7, 9_000),
    "deletions": forge.deleted(7, *((2 * clock, 1) for clock in range(500_000))),
}
FRAMES = {
    **{name: protocol.update_message(update) for name, update in UPDATES.items()},
    "an answer to step 1": protocol.step2_message(forge.nested(7, 40_000)),
    "a state vector": protocol.step1_message(forge.state_vector(400_000)),
}


async def test_a_hostile_frame_closes_the_connection_with_a_reason_and_costs_the_node_nothing(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    # Budgets count time, which a busy machine makes longer; this test is about what a frame has.
    node = Node(redis_server.url, "attacked", COLLAB_MAX_OVER_BUDGET="60")
    async with running(node):
        ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
        ada.insert(0, "fine")
        await bob.shows("fine")
        before = node.resident()
        for name, frame in FRAMES.items():
            async with raw(node, room) as wire:
                await wire.send_bytes(frame)
                code, reason = await closing(wire)
                assert (code, bool(reason)) == (TOO_LARGE, True), name
            ada.edit(["append", "."])
        await bob.shows("fine" + "." * len(FRAMES))
        assert node.resident() - before < 50
        assert not ada.of("disconnected") and not bob.of("disconnected")
        assert "Traceback" not in node.output()


async def test_types_nested_over_many_updates_and_deleted_crash_nobody(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    """yrs deletes by recursion, and so do the JavaScript clients that get the deletion."""
    node = Node(redis_server.url, "attacked", COLLAB_MAX_CHANGES_PER_SECOND="100000")
    async with running(node):
        ada = await yjs.connect(node.url, room)
        async with raw(node, room) as wire:
            for first in range(0, 50_000, 50):
                await wire.send_bytes(protocol.update_message(forge.nested(7, 50, first)))
            await wire.send_bytes(protocol.update_message(forge.deleted(7, (0, 50_000))))
            assert (await closing(wire))[0] == TOO_LARGE
        async with raw(node, room) as wire:
            await wire.send_bytes(protocol.update_message(forge.deleted(7, (0, 50))))
        ada.insert(0, "still here")
        await ada.stored()
        assert not ada.of("disconnected")


@pytest.mark.parametrize("kind", [forge.ARRAY, forge.MAP, forge.TEXT])
async def test_as_many_types_as_may_lie_in_each_other_can_be_deleted_everywhere(
    redis_server: Redis, yjs: YjsHost, room: str, kind: int
) -> None:
    node = Node(redis_server.url, "generous", COLLAB_MAX_NESTING="1000")
    async with running(node):
        ada = await yjs.connect(node.url, room)
        async with raw(node, room) as wire:
            await wire.send_bytes(protocol.update_message(forge.nested(7, 1000, kind=kind)))
            await wire.send_bytes(protocol.update_message(forge.deleted(7, (0, 1000))))
            await wire.send_bytes(protocol.update_message(_letter()))
            await eventually(lambda: ada.text == "x")
        ada.insert(1, "y")
        await ada.stored()


def _letter() -> bytes:
    return forge.update([(8, 0, [forge.struct(forge.STRING, forge.varstring("x"))])])
