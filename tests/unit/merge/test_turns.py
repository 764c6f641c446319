"""Which clients keep a change back until the previous one is acknowledged, and until when."""

from __future__ import annotations

from collections import deque

from collab.merge.pings import OnPong
from collab.merge.turns import MIN_UNDISTURBED, SLOW_SECONDS, Turns


class Client:
    """A client with its own clock, on a link whose packets arrive when a test delivers them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.idle_calls = 0
        self.pings: deque[OnPong] = deque()
        self.turns = Turns(lambda: self.now, self.pings.append, self._count_idle)

    def _count_idle(self) -> None:
        self.idle_calls += 1

    def send(self) -> float | None:
        """Send an event; return since when it may have waited."""
        self.now += 1
        return self.turns.handle_event().kept_since

    def acknowledge(self) -> bool:
        """Acknowledge the event; return whether a PING is written before that."""
        pong = self.turns.before_acknowledgement()
        if pong is not None:
            self.pings.append(pong)
        return pong is not None

    def pong(self) -> None:
        self.pings.popleft()()


def test_a_change_between_the_two_pongs_may_have_waited_since_the_one_before() -> None:
    client = Client()
    assert client.send() is None
    first = client.now
    client.acknowledge()
    client.pong()
    assert client.send() == first


def test_a_change_that_waited_behind_others_may_have_waited_as_long_as_they_did() -> None:
    client = Client()
    client.send()
    first = client.now
    for _ in range(3):
        client.acknowledge()
        client.pong()
        assert client.send() == first
        client.pong()
    assert not client.idle_calls, "each was followed by another before its second PONG"


def test_a_change_behind_the_second_pong_has_not_waited() -> None:
    client = Client()
    client.send()
    client.acknowledge()
    client.pong()
    client.pong()
    assert client.idle_calls == 1
    assert client.send() is None


def test_a_client_that_once_did_not_wait_never_waits() -> None:
    client = Client()
    client.send()
    assert client.turns.may_wait
    assert client.send() is None
    assert not client.turns.may_wait
    assert client.idle_calls == 1, "receives that were held back for it are due now"
    assert not client.acknowledge()
    assert client.send() is None


def test_a_client_that_sends_before_its_acknowledgement_arrives_never_waits() -> None:
    client = Client()
    client.send()
    client.acknowledge()
    client.send()
    client.pong()
    assert not client.turns.may_wait
    assert not client.pings


def test_a_client_that_asks_for_no_acknowledgement_gets_no_ping() -> None:
    client = Client()
    for _ in range(3):
        client.send()
    assert not client.pings


def _make_undisturbed(client: Client) -> None:
    for _ in range(MIN_UNDISTURBED):
        client.send()
        client.acknowledge()
        client.pong()
        client.pong()


def test_pings_stop_if_acknowledgements_arrive_faster_than_changes() -> None:
    client = Client()
    _make_undisturbed(client)
    assert not client.turns.may_wait
    client.send()
    assert not client.acknowledge()
    assert client.send() is None


def test_a_slow_acknowledgement_brings_the_pings_back() -> None:
    client = Client()
    _make_undisturbed(client)
    client.send()
    first = client.now
    client.now += 2 * SLOW_SECONDS
    assert client.acknowledge()
    assert client.turns.may_wait
    client.pong()
    assert client.send() == first
