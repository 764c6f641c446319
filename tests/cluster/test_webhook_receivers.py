"""The receivers of docs/webhooks.md, with what nodes send and with what somebody else made up."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from collab.webhook_settings import WebhookSecrets
from collab.webhooks.messages import headers
from tests.cluster.caller import Caller
from tests.support.clients import eventually
from tests.support.inbox import SECRET
from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, Redis, running, tool, until_open

PROGRAMS = ROOT / "docs" / "webhooks"
KEYS = WebhookSecrets.parse(SECRET).keys
LATER = WebhookSecrets.parse("whsec_" + "A" * 32).keys


class Receiver(Process):
    """A receiver in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.port = free_port()
        self.history = folder / "history.db"
        program = {".py": sys.executable, ".mjs": tool("node")}[Path(name).suffix]
        super().__init__(
            program, str(PROGRAMS / name), str(self.port),
            env={"WEBHOOK_SECRET": SECRET, "HISTORY": str(self.history)},
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)


def test_the_page_shows_the_receivers_that_are_tested() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text()
    shown = re.findall(r"^```(?:python|js)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown == [(PROGRAMS / f"receiver.{end}").read_text() for end in ("py", "mjs")]


@pytest.mark.parametrize("name", ["receiver.py", "receiver.mjs"])
async def test_a_receiver_takes_what_is_signed_once_and_nothing_else(
    name: str, tmp_path: Path
) -> None:
    body = (
        b'{"type":"room.opened","timestamp":"","data":{"sequence":1,"room":"r \xf0\x9f\x90\x8d"}}'
    )
    now = int(time.time())
    genuine = headers("msg_1", now, body, KEYS)
    receiver = Receiver(name, tmp_path)
    async with running(receiver), aiohttp.ClientSession() as session:

        async def post(content: bytes, shown: dict[str, str]) -> int:
            async with session.post(receiver.url, data=content, headers=shown) as answer:
                return answer.status

        assert await post(body, genuine) == 204
        assert await post(body, headers("msg_1", now + 1, body, KEYS)) == 204, "once more"
        assert await post(body, headers("msg_2", now, body, [*LATER, *KEYS])) == 204
        for forged in (
            {},
            headers("msg_3", now, body, LATER),
            headers("msg_3", now - 600, body, KEYS),
            headers("msg_3", now + 600, body, KEYS),
            {**genuine, "webhook-id": "msg_3"},
            {**genuine, "webhook-timestamp": "soon"},
            {**genuine, "webhook-signature": "v1,"},
            {**genuine, "webhook-signature": genuine["webhook-signature"].replace("v1", "v2")},
        ):
            assert await post(body, forged) == 401, forged
        assert await post(body + b" ", genuine) == 401
    assert receiver.output().splitlines() == ["room.opened r 🐍"] * 2, receiver.output()


async def test_a_receiver_keeps_the_text_of_a_room_that_was_ended(
    redis_server: Redis, tmp_path: Path
) -> None:
    receiver = Receiver("receiver.py", tmp_path)
    settings = {"COLLAB_WEBHOOK_URL": receiver.url, "COLLAB_WEBHOOK_SECRET": SECRET}
    # Another database, since nodes without webhooks share the first one.
    node = Node(redis_server.url.removesuffix("0") + "5", "told", **settings)
    async with running(receiver, node), aiohttp.ClientSession() as session:
        caller = Caller(session, node.url)
        await caller.put("r", "def solve():\n    pass\n")
        await caller.ask("DELETE", "/rooms/r")
        await eventually(lambda: "room.ended r" in receiver.output(), receiver.output())
    with closing(sqlite3.connect(receiver.history)) as db:
        assert db.execute("select room, text from texts").fetchall() == [
            ("r", "def solve():\n    pass\n")
        ]
