"""Two processes of tests never open the same port."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support import ports
from tests.support.ports import Share


@pytest.fixture
def share() -> Iterator[Share]:
    mine = Share()
    yield mine
    mine.close()


def test_no_port_is_given_out_twice_in_a_row(share: Share) -> None:
    given = [share.free_port() for _ in range(300)]
    given += [share.free_port_with_bus() for _ in range(80)]
    assert len(set(given)) == len(given)
    assert all(ports.FIRST_PORT <= port < ports.LAST_PORT for port in given)


def test_two_processes_have_no_port_in_common(share: Share) -> None:
    other = Share()
    mine = {share.free_port() for _ in range(1_000)}
    others = {other.free_port() for _ in range(1_000)}
    other.close()
    assert not mine & others


def test_a_port_that_is_open_is_passed_over(share: Share) -> None:
    """Each port comes round again, unless somebody has opened it, or its bus port."""
    closed, closed_pair = share.free_port(), share.free_port_with_bus()
    with socket.socket() as server, socket.socket() as bus:
        server.bind(("127.0.0.1", opened := share.free_port()))
        bus.bind(("127.0.0.1", (opened_pair := share.free_port_with_bus()) + ports.CLUSTER_BUS))
        singles = {share.free_port() for _ in range(ports.SINGLES)}
        pairs = {share.free_port_with_bus() for _ in range(ports.PAIRS)}
    assert closed in singles and opened not in singles
    assert closed_pair in pairs and opened_pair not in pairs
