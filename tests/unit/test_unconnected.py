"""Sessions that have not sent CONNECT: how many an address may have, and for how long."""

from __future__ import annotations

import asyncio

from collab.errors import CollabError
from collab.sio.unconnected import Unconnected


class Session:
    """A session that notes why it is let go."""

    def __init__(self, address: str = "10.0.0.1") -> None:
        self.address = address
        self.let_go: list[str] = []

    def dismiss_soon(self, problem: CollabError) -> None:
        self.let_go.append(problem.code)


async def test_of_more_than_the_limit_of_an_address_the_oldest_ends() -> None:
    unconnected = Unconnected(3, 60.0)
    sessions = [Session() for _ in range(5)]
    other = Session("10.0.0.2")
    for session in (*sessions, other):
        unconnected.add(session)
    assert [session.let_go for session in sessions] == [["rate_limited"]] * 2 + [[]] * 3
    assert not other.let_go
    for session in (*sessions, other):
        unconnected.discard(session)


async def test_who_connects_in_time_stays() -> None:
    unconnected = Unconnected(3, 0.02)
    early, late = Session(), Session()
    for session in (early, late):
        unconnected.add(session)
    assert early in unconnected
    unconnected.discard(early)
    assert early not in unconnected
    await asyncio.sleep(0.05)
    assert (early.let_go, late.let_go) == ([], ["rate_limited"])
    unconnected.discard(late)
    unconnected.discard(late)


async def test_nothing_is_kept_of_those_who_are_connected() -> None:
    unconnected = Unconnected(1, 60.0)
    for _ in range(10):
        session = Session()
        unconnected.add(session)
        unconnected.add(session)
        unconnected.discard(session)
        assert not session.let_go
    assert not unconnected._of_address and not unconnected._timers
