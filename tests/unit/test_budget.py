"""Budgets: what a client sends is charged, and who uses too much waits, or is let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from collab.addresses import UNKNOWN, Proxies
from collab.bucket import BURST
from collab.budget import LIGHT, MAX_WAIT, Budgets, Meter
from collab.config import Config
from collab.errors import CollabError

RATE = 1_000_000
"""Bytes a second of one connection in these tests."""
CONFIG = Config(max_bytes_per_second=RATE, max_busy=0.25, max_over_budget=10.0, max_held_bytes=100)


@dataclass
class Clients:
    """The budgets of a node at a certain time, and the errors with which clients were let go."""

    now: float = 1000.0
    config: Config = CONFIG
    let_go: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budgets = Budgets(self.config, lambda: self.now)

    def open(self, address: str = "10.0.0.1", name: str = "client") -> Meter:
        return self.budgets.open(address, self.note(name))

    def note(self, name: str) -> Callable[[CollabError], None]:
        return lambda problem: self.let_go.append((name, problem.code))

    def send(self, meter: Meter, size: int, busy: float = 0.0) -> float:
        return meter.spend(size, busy, self.now)


def test_a_burst_of_two_seconds_worth_passes_and_more_waits_until_the_rate_allows_it() -> None:
    clients = Clients()
    meter = clients.open()
    assert clients.send(meter, int(BURST * RATE)) == 0
    assert clients.send(meter, RATE // 2) == pytest.approx(0.5)
    clients.now += 0.5
    assert meter.wait(clients.now) == 0


def test_a_client_is_slowed_to_its_rate_of_bytes_or_of_time() -> None:
    for size, busy in ((1000, 0.0), (0, 0.001)):
        clients = Clients()
        meter, sent, began = clients.open(), 0, clients.now
        while clients.now < began + 8:
            clients.now += clients.send(meter, size, busy)
            sent += 1
        seconds = sent * (size / RATE + busy / CONFIG.max_busy)
        assert 8 <= seconds - BURST <= 8 + 2 * MAX_WAIT


def test_one_long_piece_of_work_makes_its_client_wait_a_second_at_a_time() -> None:
    clients = Clients()
    meter = clients.open()
    assert clients.send(meter, 0, busy=3.0) == MAX_WAIT
    assert clients.let_go == []


def test_who_stays_over_the_budget_is_let_go_with_a_reason_once() -> None:
    clients = Clients()
    meter = clients.open()
    for _ in range(100):
        clients.now += clients.send(meter, 2 * RATE)
    assert clients.let_go == [("client", "rate_limited")]


def test_who_sends_again_as_soon_as_it_may_makes_no_break() -> None:
    clients = Clients()
    meter = clients.open()
    clients.send(meter, 2 * RATE)
    for _ in range(2000):
        clients.now += clients.send(meter, RATE // 100) + 1e-6
    assert clients.let_go == [("client", "rate_limited")]


def test_who_makes_breaks_is_never_let_go() -> None:
    clients = Clients()
    meter = clients.open()
    for _ in range(100):
        clients.send(meter, 3 * RATE)
        clients.now += 3
    assert clients.let_go == []


def test_a_new_connection_of_an_address_renews_nothing() -> None:
    clients = Clients()
    meter = clients.open()
    clients.send(meter, 2 * RATE)
    assert not meter.pace("change", 30.0).wait(clients.now)
    meter.close()
    again = clients.open()
    assert clients.send(again, RATE) == pytest.approx(1.0)
    assert again.pace("change", 30.0) is meter.pace("change", 30.0)


def test_what_one_connection_has_used_is_taken_over_by_one_other_only() -> None:
    clients = Clients()
    used = clients.open()
    clients.send(used, 2 * RATE)
    used.close()
    first, second = clients.open(), clients.open()
    assert clients.send(first, RATE) > 0
    assert clients.send(second, RATE) == 0


def test_nothing_is_remembered_when_the_budget_is_full_again() -> None:
    clients = Clients()
    used = clients.open()
    clients.send(used, 2 * RATE)
    used.close()
    clients.now += 2.1
    assert clients.send(clients.open(), RATE) == 0


def test_a_connection_that_uses_little_never_waits_for_others_of_its_address() -> None:
    clients = Clients()
    typist = clients.open(name="typist")
    greedy = [clients.open() for _ in range(20)]
    for meter in greedy:
        clients.send(meter, int(1.9 * RATE))
    waits = [clients.send(meter, 1) for meter in greedy]
    assert min(waits) > 0  # none has used all of its own, all of the address's is used
    assert clients.send(typist, int(LIGHT * RATE)) == 0
    assert clients.send(clients.open("10.9.9.9"), RATE) > 0  # the node's is used up too


def test_who_waits_for_others_only_is_not_let_go() -> None:
    clients = Clients()
    meters = [clients.open() for _ in range(20)]
    for _ in range(100):
        waits = [clients.send(meter, RATE // 4) for meter in meters]
        clients.now += max(waits)
    assert clients.let_go == []


def test_a_person_has_one_budget_on_all_addresses() -> None:
    clients = Clients()
    meters = [clients.open(f"10.0.0.{n}") for n in range(2)]
    for meter in meters:
        for _ in range(2):  # as with a second CONNECT
            clients.budgets.set_subject(meter, "ada")
        clients.send(meter, int(1.9 * RATE))
    assert clients.send(meters[0], 1) > 0
    meters[0].close()
    again = clients.open("10.0.0.9")
    clients.budgets.set_subject(again, "ada")
    assert clients.send(again, RATE) > 0


def test_the_members_of_a_room_share_its_budget_while_they_are_in_it() -> None:
    clients = Clients()
    room = clients.budgets.of_room("lecture")
    meters = [clients.open(f"10.0.0.{n}") for n in range(3)]
    for meter in meters:
        for _ in range(2):  # as with a second join
            meter.enter(clients.budgets.of_room("lecture"))
        clients.send(meter, int(1.9 * RATE))
    assert clients.send(meters[0], 1) > 0  # 5.7 of 5
    typist = clients.open("10.0.0.9")
    typist.enter(room)
    assert clients.send(typist, int(LIGHT * RATE)) == 0
    clients.now += 0.3
    assert clients.send(meters[0], 1) > 0
    for meter in (*meters, typist):
        for _ in range(2):
            meter.leave(room)
    assert clients.send(meters[0], 1) == 0
    assert room.connections == 0
    clients.now += 10
    assert room.is_unused(clients.now)


def test_who_holds_most_is_let_go_first_and_only_as_many_as_necessary() -> None:
    clients = Clients()
    small, large, larger = (clients.open(name=name) for name in ("small", "large", "larger"))
    small.hold(10)
    large.hold(40)
    larger.hold(50)
    assert clients.let_go == []
    small.hold(1)
    assert clients.let_go == [("larger", "node_full")]
    assert clients.budgets.held == 51
    larger.hold(-50)  # it is not counted any more
    assert clients.budgets.held == 51


def test_what_an_ended_connection_held_is_not_counted() -> None:
    clients = Clients()
    meter = clients.open()
    meter.hold(60)
    meter.close()
    meter.close()
    assert clients.budgets.held == 0 and not clients.budgets.meters


def test_a_proxy_is_not_slowed_itself() -> None:
    clients = Clients()
    proxy = clients.budgets.open_proxy(clients.note("proxy"))
    assert clients.send(proxy, 100 * RATE, busy=100.0) == 0


def test_addresses_that_use_nothing_are_forgotten() -> None:
    clients = Clients()
    busy = clients.open("10.1.1.1")
    for number in range(5000):
        clients.open(f"10.2.{number >> 8}.{number & 255}").close()
        clients.now += 1
    known = clients.budgets._addresses._by_key
    assert len(known) < 2100 and "10.1.1.1" in known
    busy.close()


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "192.0.2.1", "203.0.113.5"),  # no proxy of ours: it may write anything
        ("10.0.0.1", "", UNKNOWN),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "1.1.1.1, 192.0.2.1", "192.0.2.1"),  # the client wrote the first itself
        ("10.0.0.1", "1.1.1.1, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("10.0.0.1", "1.1.1.1; 192.0.2.1", "192.0.2.1"),  # the proxy added a header of its own
        ("10.0.0.1", "10.0.0.7", UNKNOWN),
        ("10.0.0.1", "nonsense", UNKNOWN),
        (None, "192.0.2.1", "192.0.2.1"),  # a unix socket
        ("", "", UNKNOWN),
        ("::ffff:203.0.113.5", "", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "", "fe80::/64"),
    ],
)
def test_the_address_is_that_of_the_last_hop_that_is_no_proxy(
    peer: str | None, forwarded_for: str, address: str
) -> None:
    config = replace(CONFIG, trusted_proxies=Proxies.parse("10.0.0.0/24, 127.0.0.1"))
    headers = forwarded_for.split("; ") if forwarded_for else []
    assert Budgets(config).address_of(peer, headers) == address


@pytest.mark.parametrize("raw", ["nginx", "10.0.0.1/24", "10.0.0.0/33", ","])
def test_what_is_no_network_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="is not a list of IP addresses and networks"):
        Proxies.parse(raw)
