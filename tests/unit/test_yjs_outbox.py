"""What waits for a Yjs client: in order, and bounded in bytes."""

from __future__ import annotations

import asyncio

import pytest

from collab.yjs.outbox import OutboxFull, YjsOutbox


def outbox(limit: int = 10) -> YjsOutbox:
    return YjsOutbox(limit, lambda: b"slot")


async def test_messages_are_taken_in_order_and_the_slot_when_there_are_none() -> None:
    box = outbox()
    box.put_slot()
    box.put(b"1")
    box.put_slot()
    box.put(b"2")
    assert [await box.take() for _ in range(3)] == [b"1", b"2", b"slot"]
    assert box.size == 0


async def test_who_takes_waits_for_a_message() -> None:
    box = outbox()
    taking = asyncio.ensure_future(box.take())
    await asyncio.sleep(0)
    box.put(b"1")
    assert await taking == b"1"


async def test_more_bytes_than_the_limit_do_not_wait() -> None:
    box = outbox(10)
    box.put(b"123456")
    with pytest.raises(OutboxFull):
        box.put(b"12345")
    await box.take()
    box.put(b"12345")
    assert box.size == 5


async def test_a_message_over_the_limit_may_wait_alone() -> None:
    box = outbox(10)
    box.put(b"x" * 100)
    with pytest.raises(OutboxFull):
        box.put(b"x")
