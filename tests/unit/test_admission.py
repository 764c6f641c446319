"""Admission: which clients may connect, who they are, what they may do, and how a node drains."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from collab.access.grant import ANY_ROOM, Grant
from collab.admission import Admission
from collab.api_keys import ApiKeys, Scope
from collab.config import Config
from collab.errors import (
    Draining,
    NodeFull,
    NotAllowed,
    OriginNotAllowed,
    RoomNotAllowed,
    ScopeMissing,
    Unauthorized,
)
from collab.origins import Origins
from collab.rooms.identity import Identity, Role

PAGE = "https://peerprep.example"
HERE = ("127.0.0.1", 8005)
"""The address at which a request arrived, as a socket names it."""


class Connection:
    """A connection that ends when it is moved off, with ``others``, if any, at the same time."""

    def __init__(self, others: asyncio.Barrier | None = None) -> None:
        self.others = others
        self.moved_off: list[float] = []

    async def move_off(self, patience: float) -> None:
        self.moved_off.append(patience)
        if self.others is not None:
            await self.others.wait()


class Known:
    """A verifier of one token."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def identify(self, token: Any) -> Grant:
        return self.grant

    async def role_in(self, grant: Grant, room: str) -> Role | None:
        return grant.role_in(room)


def an_admission(**settings: Any) -> Admission:
    return Admission(Config(**settings))


# Connections


def test_the_connections_of_all_endpoints_are_counted_together() -> None:
    admission = an_admission(max_connections=2)
    one, other = Connection(), Connection()
    admission.check(None, HERE)
    admission.add(one)
    admission.check(None, HERE)
    admission.add(other)
    with pytest.raises(NodeFull):
        admission.check(None, HERE)
    admission.discard(one)
    admission.discard(one)  # a connection is discarded once
    admission.check(None, HERE)
    admission.add(Connection())
    with pytest.raises(NodeFull):
        admission.check_capacity()


def test_a_full_node_refuses_a_page_of_another_origin_for_its_origin() -> None:
    admission = an_admission(max_connections=1, cors_origins=Origins.parse(PAGE))
    admission.check(PAGE, HERE)
    admission.add(Connection())
    with pytest.raises(OriginNotAllowed):
        admission.check("https://evil.example", HERE)
    with pytest.raises(NodeFull):
        admission.check(PAGE, HERE)


# Who a client is


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ann", "Ann"), (" Ann\n\u202eLee ", "AnnLee"), ("", "guest-abcd"), (7, "guest-abcd")],
)
async def test_a_client_has_the_name_it_gives_if_that_can_be_shown(name: Any, shown: str) -> None:
    admission = an_admission()
    grant = await admission.identify("abcdefgh", None, name)
    assert await admission.admit(grant, "room") == Identity("abcdefgh", shown, Role.EDITOR)


async def test_a_verifier_decides_who_a_client_is_and_its_role_in_each_room() -> None:
    grant = Grant("ann", "Ann", (("ours", Role.EDITOR), ("their*", Role.VIEWER)), digest="d")
    admission = Admission(Config(), Known(grant))
    assert await admission.identify("sid", "token", "Mallory") is grant
    for room, role in (("ours", Role.EDITOR), ("theirs", Role.VIEWER)):
        assert await admission.admit(grant, room) == Identity("ann", "Ann", role, proven=True)
    with pytest.raises(RoomNotAllowed) as refused:
        await admission.admit(grant, "secret")
    assert refused.value.payload()["room"] == "secret"


async def test_a_grant_that_has_expired_admits_to_no_room() -> None:
    grant = Grant("ann", "Ann", ((ANY_ROOM, Role.ADMIN),), time.time() - 1, digest="d")
    with pytest.raises(Unauthorized) as refused:
        await Admission(Config(), Known(grant)).admit(grant, "ours")
    assert refused.value.reason == "token_expired"


async def test_a_new_token_must_be_of_the_same_subject() -> None:
    old = Grant("ann", "Ann", (), digest="old")
    new = replace(old, rules=((ANY_ROOM, Role.EDITOR),), digest="new")
    assert await Admission(Config(), Known(new)).renew(old, "token") is new
    with pytest.raises(Unauthorized) as refused:
        await Admission(Config(), Known(replace(new, subject="bob"))).renew(old, "token")
    assert refused.value.reason == "other_subject"
    assert await Admission(Config()).renew(old, "any") is old  # where no token is asked for


@pytest.mark.parametrize("shown", ["Bearer s3cret", "bearer  s3cret "])
def test_a_caller_of_the_api_shows_its_key(shown: str) -> None:
    for scope in Scope:
        assert an_admission(api_key="s3cret").check_key(shown, scope)


@pytest.mark.parametrize(
    "shown", ["", "s3cret", "Basic s3cret", "Bearer", "Bearer s3cre", "Bearer é"]
)
def test_a_caller_without_the_key_is_refused_where_there_is_one(shown: str) -> None:
    with pytest.raises(NotAllowed):
        an_admission(api_key="s3cret").check_key(shown, Scope.READ)
    assert an_admission().check_key(shown, Scope.END) is None


def test_a_key_is_good_for_its_scopes_and_both_settings_give_keys() -> None:
    admission = an_admission(
        api_key="s3cret", api_keys=ApiKeys.parse("reader:read:0123456789abcdef")
    )
    reader = "Bearer 0123456789abcdef"
    found = admission.check_key(reader, Scope.READ)
    assert found and found.name == "reader"
    with pytest.raises(ScopeMissing, match="the scope write"):
        admission.check_key(reader, Scope.WRITE)
    assert admission.check_key("Bearer s3cret", Scope.WRITE)


# Draining


async def test_a_node_that_drains_moves_every_connection_off_in_a_spread_and_lets_none_begin() -> (
    None
):
    admission, spread = an_admission(drain_time=0.4), 0.2
    together = asyncio.Barrier(4)  # no move waits for the end of another
    leaving = [Connection(together) for _ in range(together.parties)]
    for connection in leaving:
        admission.add(connection)
    gone = Connection()
    admission.add(gone)
    admission.discard(gone)
    began = asyncio.get_running_loop().time()
    draining = asyncio.create_task(admission.drain())
    await asyncio.sleep(0)
    assert admission.draining
    with pytest.raises(Draining):
        admission.check(None, HERE)
    await draining
    took = asyncio.get_running_loop().time() - began
    assert [connection.moved_off for connection in leaving] == [[spread]] * len(leaving)
    assert not gone.moved_off
    assert took > 0.9 * spread * (len(leaving) - 1) / len(leaving)


async def test_a_node_drains_once() -> None:
    admission, connection = an_admission(drain_time=0.0), Connection()
    admission.add(connection)
    await admission.drain()
    await admission.drain()
    assert len(connection.moved_off) == 1
