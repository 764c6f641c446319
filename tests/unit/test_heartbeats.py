"""When the heartbeats of a node's sessions are sent."""

from __future__ import annotations

import asyncio

from collab.sio.heartbeats import Heartbeats

INTERVAL = 0.05


class Session:
    """A session that records its heartbeats."""

    def __init__(self) -> None:
        self.beats: list[float] = []

    def send_heartbeat(self) -> None:
        self.beats.append(asyncio.get_running_loop().time())


async def test_each_session_gets_one_heartbeat_an_interval_after_it_was_scheduled() -> None:
    heartbeats = Heartbeats(INTERVAL)
    now = asyncio.get_running_loop().time
    sessions = {}
    for _ in range(3):
        heartbeats.schedule(session := Session())
        sessions[session] = now()
        await asyncio.sleep(INTERVAL / 5)
    await asyncio.sleep(2 * INTERVAL)
    for session, scheduled in sessions.items():
        (sent,) = session.beats
        assert INTERVAL - 0.005 < sent - scheduled < 2 * INTERVAL


async def test_a_session_that_is_scheduled_again_gets_its_heartbeat_later() -> None:
    heartbeats = Heartbeats(INTERVAL)
    again, other = Session(), Session()
    heartbeats.schedule(again)
    heartbeats.schedule(other)
    await asyncio.sleep(INTERVAL / 2)
    heartbeats.schedule(again)
    await asyncio.sleep(2 * INTERVAL)
    assert len(again.beats) == len(other.beats) == 1
    assert again.beats[0] - other.beats[0] > INTERVAL / 4


async def test_a_session_that_has_ended_gets_no_heartbeat() -> None:
    heartbeats = Heartbeats(INTERVAL)
    ended, other = Session(), Session()
    heartbeats.schedule(ended)
    heartbeats.schedule(other)
    heartbeats.discard(ended)
    heartbeats.discard(ended)
    await asyncio.sleep(2 * INTERVAL)
    assert not ended.beats and len(other.beats) == 1
