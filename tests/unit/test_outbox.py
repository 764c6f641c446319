"""The outbox: in order, bounded, and slots made when they are written."""

from __future__ import annotations

import asyncio

import pytest
from engineio.packet import MESSAGE, Packet

from collab.sio.outbox import Outbox, OutboxFull


def message(text: str) -> Packet:
    return Packet(MESSAGE, text)


def written(outbox: Outbox) -> list[str]:
    packets = []
    while outbox:
        packets += [packet.data for packet in outbox.take()]
    return packets


def test_packets_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10)
    for text in "abc":
        outbox.put(message(text))
    assert written(outbox) == ["a", "b", "c"]


def test_a_slot_put_again_keeps_its_place_and_is_made_once_when_its_turn_comes() -> None:
    outbox, text = Outbox(10), "old"
    outbox.put(message("first"))
    outbox.put_slot("receive", lambda: [message(text)])
    outbox.put(message("last"))
    text = "new"
    outbox.put_slot("receive", lambda: [message(text)])
    assert written(outbox) == ["first", "new", "last"]


def test_a_slot_may_turn_out_to_have_nothing_and_may_be_dropped() -> None:
    outbox = Outbox(10)
    outbox.put_slot("nothing", list)
    outbox.put_slot("dropped", lambda: [message("gone")])
    outbox.drop_slot("dropped")
    outbox.drop_slot("never there")
    assert written(outbox) == []


def test_a_slot_that_was_dropped_and_is_put_again_waits_behind_all_others() -> None:
    outbox = Outbox(10)
    outbox.put_slot("receive", lambda: [message("old")])
    outbox.put(message("between"))
    outbox.drop_slot("receive")
    outbox.put_slot("receive", lambda: [message("new")])
    assert written(outbox) == ["between", "new"]


def test_a_slot_can_be_put_while_it_is_being_made() -> None:
    outbox = Outbox(10)

    def render() -> list[Packet]:
        outbox.put_slot("receive", lambda: [message("second")])
        return [message("first")]

    outbox.put_slot("receive", render)
    assert written(outbox) == ["first", "second"]


def test_past_its_limit_it_takes_no_more() -> None:
    outbox = Outbox(2)
    outbox.put(message("a"))
    outbox.put(message("b"))
    with pytest.raises(OutboxFull):
        outbox.put(message("c"))
    assert written(outbox) == ["a", "b"]


async def test_waiting_ends_with_a_packet_or_with_the_end() -> None:
    outbox = Outbox(2)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    outbox.put(message("a"))
    assert await waiting is True
    outbox.close()
    outbox.put(message("too late"))
    assert await outbox.wait() is True and written(outbox) == ["a"]
    assert await outbox.wait() is False
