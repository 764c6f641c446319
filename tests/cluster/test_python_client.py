"""The contract with the official Python client, over both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import socketio

from tests.support.clients import eventually
from tests.support.processes import Node, Redis, running

Nodes = tuple[Node, Node]


class Person:
    """A Python client and what it was told."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession()  # the client does not always close its own
        self.client = socketio.AsyncClient(
            reconnection_delay=0.05, reconnection_delay_max=0.2, http_session=self.session
        )
        self.codes: list[str] = []
        self.errors: list[str] = []
        self.connects = 0
        self.client.on("receive", lambda told: self.codes.append(told["code"]))
        self.client.on("error", lambda told: self.errors.append(told["code"]))
        self.client.on("connect", self._connected)

    def _connected(self) -> None:
        self.connects += 1

    async def close(self) -> None:
        """End the connection and what the client does in the background.

        A request of its loops after this would open a session that nobody closes.
        """
        engine, self.client.reconnection = self.client.eio, False
        loops = [task for task in (engine.read_loop_task, engine.write_loop_task) if task]
        await engine.disconnect(abort=True)  # without abort it waits for the end of its poll
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await self.client.shutdown()
        await self.session.close()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Person, Person]]:
    persons = Person(), Person()
    yield persons
    for person in persons:
        await person.close()


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids=str
)
async def test_two_python_clients_on_two_nodes(
    nodes: Nodes, pair: tuple[Person, Person], room: str, transports: list[str]
) -> None:
    ada, bob = pair
    for person, node in zip(pair, nodes, strict=True):
        await person.client.connect(node.url, transports=transports)
        assert (await person.client.call("join", {"room": room}))["ok"]
    assert await ada.client.call("change", {"room": room, "code": "x = 1"}) == {"ok": True}
    await eventually(lambda: bob.codes == ["x = 1"])
    refused = await bob.client.call("change", {"room": room, "code": None})
    assert refused["error"]["code"] == "bad_code" and bob.errors == ["bad_code"]
    assert (await bob.client.call("leave", {"room": room}))["ok"] and ada.codes == []


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_python_clients_of_a_node_that_stops_come_back(
    redis_server: Redis, pair: tuple[Person, Person], transport: str
) -> None:
    first = Node(redis_server.url, "first")
    second = Node(redis_server.url, "second")
    second.port = first.port
    second.env["COLLAB_PORT"] = str(first.port)
    async with running(first):
        await asyncio.gather(
            *(person.client.connect(first.url, transports=[transport]) for person in pair)
        )
        assert await first.stop() == 0
    async with running(second):
        # A busy node may answer an attempt after its time-out: then another one follows.
        await eventually(
            lambda: all(person.connects > 1 and person.client.connected for person in pair)
        )
        for person in pair:
            assert (await person.client.call("join", {"room": "back"}))["node"] == "second"
