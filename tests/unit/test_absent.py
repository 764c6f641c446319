"""Members that have left a room: how many of them, and for how long, the room knows."""

from __future__ import annotations

from collab.rooms.absent import RETURN_TIMEOUT, AbsentPeers
from tests.unit.merge.desk import Desk


def test_a_room_knows_the_64_members_that_left_last() -> None:
    absent = AbsentPeers()
    peers = [Desk(str(number)).peer for number in range(70)]
    for number, peer in enumerate(peers):
        absent.add(f"member {number}", peer, now=0.0)
    assert list(absent) == peers[-64:]
    assert absent.pop("member 5") is None
    assert absent.pop("member 6") is peers[6]


def test_a_member_that_is_away_for_too_long_is_not_known_any_more() -> None:
    absent = AbsentPeers()
    absent.add("first", Desk("").peer, now=1.0)
    absent.add("second", second := Desk("").peer, now=2.0)
    absent.expire(1.0 + RETURN_TIMEOUT)
    assert len(list(absent)) == 2
    absent.expire(2.0 + RETURN_TIMEOUT)
    assert absent.pop("first") is None
    assert absent.pop("second") is second


def test_a_member_that_is_back_is_absent_no_more() -> None:
    absent = AbsentPeers()
    absent.add("member", peer := Desk("").peer, now=0.0)
    assert absent.pop("member") is peer
    assert absent.pop("member") is None
