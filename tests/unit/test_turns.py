"""Which clients' changes wait for the acknowledgement of the one before."""

from __future__ import annotations

import asyncio
import random

from collab.sio.turns import AT_ONCE, IDLE, MIN_WAITED, SOON, Turns

ROUND_TRIP = 5 * AT_ONCE


class Client:
    """A client by a clock of its own."""

    def __init__(self, round_trip: float = ROUND_TRIP) -> None:
        self.now = 100.0
        self.idle = 0
        self.turns = Turns(lambda: self.now, self._be_idle)
        self._round_trip = round_trip

    def _be_idle(self) -> None:
        self.idle += 1

    def changes(self, *, after: float) -> bool:
        self.now += after
        return self.turns.change()

    def answers(self) -> None:
        pong = self.turns.acknowledging()
        assert pong is not None
        self.now += self._round_trip
        pong()

    def waits(self, times: int) -> bool:
        """Send a change and so many that wait; return whether the last is known to have waited."""
        self.changes(after=1)
        for _ in range(times):
            self.answers()
            waited = self.changes(after=AT_ONCE / 2)
        return waited


async def test_changes_right_behind_the_acknowledgement_again_and_again_have_waited() -> None:
    assert Client().waits(MIN_WAITED)
    assert not Client().waits(MIN_WAITED - 1)


async def test_of_a_client_that_waits_a_change_some_time_later_has_not_waited() -> None:
    client = Client()
    client.waits(MIN_WAITED)
    client.answers()
    assert not client.changes(after=SOON)
    assert client.turns.waits


async def test_where_acknowledgements_come_at_once_nothing_has_to_wait() -> None:
    assert not Client(round_trip=AT_ONCE / 2).waits(10 * MIN_WAITED)


async def test_a_client_that_does_not_wait_once_never_does() -> None:
    client = Client()
    client.waits(MIN_WAITED)
    assert client.turns.waits
    assert not client.changes(after=ROUND_TRIP / 2)
    assert not client.turns.waits
    assert client.turns.acknowledging() is None


async def test_people_who_type_at_any_time_are_not_taken_for_such_clients() -> None:
    taken = 0
    for seed in range(100):
        client, rng = Client(), random.Random(seed)
        client.changes(after=1)
        for _ in range(100):
            client.answers()
            client.changes(after=rng.uniform(0, 2 * SOON))
        taken += client.turns.waits
    assert not taken


async def test_it_is_idle_when_nothing_comes_behind_an_acknowledgement() -> None:
    client = Client()
    client.waits(MIN_WAITED)
    client.answers()
    await asyncio.sleep(2 * IDLE)
    assert client.idle == 1
    client.changes(after=1)
    client.answers()
    client.changes(after=0)
    await asyncio.sleep(2 * IDLE)
    assert client.idle == 1


def test_what_no_acknowledgement_is_due_for_needs_no_ping() -> None:
    assert Client().turns.acknowledging() is None
