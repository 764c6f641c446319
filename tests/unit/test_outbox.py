"""The outbox: messages in order, a bound in messages or bytes, and slots rendered when sent."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from collab.wire.outbox import Outbox, OutboxFull

M = TypeVar("M")


def counted(limit: int = 10) -> Outbox[str]:
    """Return an outbox whose limit is a number of messages, as the Socket.IO endpoint has it."""
    return Outbox(limit)


def measured(limit: int = 10) -> Outbox[bytes]:
    """Return an outbox whose limit is in bytes, as the Yjs endpoint has it."""
    return Outbox(limit, size_of=len)


def written(outbox: Outbox[M]) -> list[M]:
    messages = []
    while outbox:
        messages += outbox.pop()
    return messages


def test_messages_come_out_in_the_order_they_went_in() -> None:
    outbox = counted()
    for text in "abc":
        outbox.put(text)
    assert written(outbox) == ["a", "b", "c"]


def test_a_render_makes_its_messages_when_its_turn_comes() -> None:
    outbox, text = counted(), "old"
    outbox.put("first")
    outbox.put_render(lambda: [text, text])
    outbox.put("last")
    text = "new"
    assert written(outbox) == ["first", "new", "new", "last"]


# Slots


def test_a_slot_put_again_keeps_its_place_and_is_made_once_when_its_turn_comes() -> None:
    outbox, text = counted(), "old"
    outbox.put("first")
    outbox.put_slot("receive", lambda: [text])
    outbox.put("last")
    text = "new"
    outbox.put_slot("receive", lambda: [text])
    assert written(outbox) == ["first", "new", "last"]


def test_a_slot_may_turn_out_to_have_nothing_and_may_be_dropped() -> None:
    outbox = counted()
    outbox.put_slot("nothing", list)
    outbox.put_slot("dropped", lambda: ["gone"])
    outbox.drop_slot("dropped")
    outbox.drop_slot("never there")
    assert written(outbox) == []


def test_a_slot_that_was_dropped_and_is_put_again_waits_behind_all_others() -> None:
    outbox = counted()
    outbox.put_slot("receive", lambda: ["old"])
    outbox.put("between")
    outbox.drop_slot("receive")
    outbox.put_slot("receive", lambda: ["new"])
    assert written(outbox) == ["between", "new"]


def test_a_slot_can_be_put_while_it_is_being_made() -> None:
    outbox = counted()

    def render() -> list[str]:
        outbox.put_slot("receive", lambda: ["second"])
        return ["first"]

    outbox.put_slot("receive", render)
    assert written(outbox) == ["first", "second"]


def test_a_slot_for_when_nothing_else_waits_is_made_once_and_behind_all_messages() -> None:
    outbox = measured()
    outbox.put_when_idle("awareness", lambda: [b"states"])
    outbox.put(b"1")
    outbox.put_when_idle("awareness", lambda: [b"states"])
    outbox.put(b"2")
    assert written(outbox) == [b"1", b"2", b"states"]


# Limits


def test_a_full_outbox_accepts_no_more_messages_however_long_they_are() -> None:
    outbox = counted(2)
    outbox.put("a" * 100)
    outbox.put_render(lambda: ["b"])
    with pytest.raises(OutboxFull):
        outbox.put("c")
    with pytest.raises(OutboxFull):
        outbox.put_render(lambda: ["c"])
    assert written(outbox) == ["a" * 100, "b"]
    outbox.put("d")
    assert written(outbox) == ["d"]


def test_a_slot_is_never_refused_and_leaves_as_much_room_for_messages() -> None:
    outbox = counted(1)
    outbox.put("a")
    outbox.put_slot("receive", lambda: ["b"])
    with pytest.raises(OutboxFull):
        outbox.put("c")
    outbox.pop()
    outbox.put("c")
    assert written(outbox) == ["b", "c"]


def test_more_bytes_than_the_limit_do_not_wait() -> None:
    outbox = measured(10)
    outbox.put(b"123456")
    with pytest.raises(OutboxFull):
        outbox.put(b"12345")
    outbox.pop()
    outbox.put(b"12345")
    outbox.put(b"67890")
    assert written(outbox) == [b"12345", b"67890"]


def test_a_message_over_the_limit_may_wait_alone() -> None:
    outbox = measured(10)
    outbox.put_when_idle("awareness", lambda: [b"states"])
    outbox.put(b"x" * 100)
    with pytest.raises(OutboxFull):
        outbox.put(b"x")
    assert written(outbox) == [b"x" * 100, b"states"]


# Waiting, and the end


async def test_waiting_ends_with_a_message_or_with_the_end() -> None:
    outbox = counted(2)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    outbox.put("a")
    assert await waiting is True
    outbox.close()
    outbox.put("too late")
    outbox.put_slot("receive", lambda: ["too late"])
    outbox.put_when_idle("awareness", lambda: ["too late"])
    assert await outbox.wait() is True and written(outbox) == ["a"]
    assert await outbox.wait() is False


@pytest.mark.parametrize("put", ["put_slot", "put_when_idle"])
async def test_waiting_ends_with_a_slot(put: str) -> None:
    outbox = counted()
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    getattr(outbox, put)("slot", lambda: ["a"])
    assert await waiting is True and written(outbox) == ["a"]


async def test_an_outbox_that_is_cleared_has_nothing_and_ends_the_waiting() -> None:
    outbox = counted()
    outbox.put("a")
    outbox.put_slot("receive", lambda: ["b"])
    outbox.put_when_idle("awareness", lambda: ["c"])
    outbox.clear()
    outbox.put("d")
    assert outbox.closed and await outbox.wait() is False and written(outbox) == []


def test_what_waits_is_counted_while_it_waits() -> None:
    held = 0

    def hold(size: int) -> None:
        nonlocal held
        held += size

    outbox: Outbox[bytes] = Outbox(100, len, hold)
    outbox.put(b"12345")
    outbox.put_slot("slot", list)
    assert held == 5
    outbox.pop()
    outbox.drop_slot("slot")
    assert held == 0
    outbox.put(b"123")
    outbox.end_with([b"last", b"words"])
    outbox.put(b"too late")
    assert held == 9 and [outbox.pop(), outbox.pop(), outbox.pop()] == [[b"last"], [b"words"], []]
    assert held == 0


def test_what_is_dropped_is_not_counted() -> None:
    sizes: list[int] = []
    outbox: Outbox[bytes] = Outbox(100, len, sizes.append)
    outbox.put(b"12345")
    outbox.clear()
    assert sum(sizes) == 0
