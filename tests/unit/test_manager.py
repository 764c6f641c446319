"""Whom an emit of another service reaches, at the manager of one node."""

from __future__ import annotations

from typing import cast

import pytest
import socketio

from collab.sio.manager import RoomManager
from collab.store.store import Store
from collab.store.subscriber import Subscriber

Rooms = str | list[str] | None


@pytest.fixture
def manager() -> RoomManager:
    """A manager with three clients, of which two are in a room."""
    made = RoomManager("redis://nowhere", cast(Store, None), cast(Subscriber, None))
    made.set_server(socketio.AsyncServer(async_mode="aiohttp"))
    for name in ("ada", "bob", "eve"):
        made.basic_enter_room(name, "/", None, eio_sid=f"eio {name}")
        made.basic_enter_room(name, "/", name)
    made.basic_enter_room("ada", "/", "lab")
    made.basic_enter_room("bob", "/", "lab")
    return made


@pytest.mark.parametrize(
    ("to", "reached"),
    [
        (None, "ada bob eve"), ("lab", "ada bob"), ("eve", "eve"), ("nowhere", ""),
        (["lab", "eve"], "ada bob eve"), (["ada", "ada"], "ada"), (["nowhere", "bob"], "bob"),
    ],
)  # fmt: skip
def test_an_emit_reaches_rooms_and_single_clients(
    manager: RoomManager, to: Rooms, reached: str
) -> None:
    expected = {name: f"eio {name}" for name in reached.split()}
    assert dict(manager.get_participants("/", to)) == expected


def test_a_client_that_has_left_is_in_no_room(manager: RoomManager) -> None:
    assert manager.get_rooms("ada", "/") == ["lab"]
    manager.basic_disconnect("ada", "/")
    assert not list(manager.get_participants("/", "ada"))
    assert dict(manager.get_participants("/", "lab")) == {"bob": "eio bob"}
    assert manager.get_rooms("ada", "/") == []
