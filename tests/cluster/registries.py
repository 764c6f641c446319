"""The rooms of a node without its endpoints: members are entered by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from collab.config import Config
from collab.metrics import Metrics
from collab.rooms.identity import Identity, Role
from collab.rooms.registry import Rooms
from collab.store.store import Store
from collab.store.subscriber import Subscriber

REDIS_TIMEOUT = 1.0
"""Seconds; a busy machine takes more than 0.3 for an answer."""


def somebody(name: str) -> Identity:
    return Identity(name, name, Role.EDITOR)


class Silent:
    """The way to a screen that nobody looks at; it counts what it would be sent."""

    told_of_end = 0
    told_of_people = 0

    def receive_due(self) -> None:
        pass

    def receive_due_to_reader(self) -> None:
        pass

    def receive_due_in(self, seconds: float) -> None:
        pass

    def presence_due(self) -> None:
        self.told_of_people += 1

    def awareness_due(self, clients: Collection[int]) -> None:
        pass

    def update(self, update: bytes) -> None:
        pass

    def ended(self) -> None:
        self.told_of_end += 1


@asynccontextmanager
async def rooms(
    port: int, grace: float = 0.1, node: str = "n", **settings: float
) -> AsyncIterator[Rooms]:
    url = f"redis://127.0.0.1:{port}/0"
    config = Config(redis_url=url, node_id=node, room_grace=grace, **settings)  # type: ignore[arg-type]
    metrics = Metrics()
    store = Store(url, node, REDIS_TIMEOUT, metrics)
    subscriber = Subscriber(store.pool, node, REDIS_TIMEOUT)
    held = Rooms(config, store, subscriber, metrics, on_emit=lambda message: None)
    await subscriber.open()
    held.open()
    try:
        yield held
    finally:
        await held.close()
        await subscriber.close()
        await store.close()
