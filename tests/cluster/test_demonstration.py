"""``make storm``: what it shows, whom it believes, and how it ends."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import socketio
from aiohttp import web

from tests.naive.process import Naive
from tests.support.ports import free_port
from tests.support.processes import Node, Process, Redis, running
from tests.support.tokens import SECRET, token

STORM = (sys.executable, "-m", "tests.storm", "--seconds", "2")
ENDED_WITHIN = 40.0
"""Seconds, of which two are typing."""

pytestmark = pytest.mark.timeout(90)


async def storm(*options: str, **env: str) -> tuple[int, str]:
    """Run a short storm; return its exit code and what it printed."""
    process = Process(*STORM, *options, env={"STORM_URL": "", "STORM_TOKEN": "", **env})
    await process.start()
    assert process.process is not None
    try:
        async with asyncio.timeout(ENDED_WITHIN):
            return await process.process.wait(), process.output()
    finally:
        if process.running:
            await process.kill()


def lost(output: str) -> list[int]:
    """Return the letters lost on each server."""
    [row] = re.findall(r"^letters lost(.*)$", output, re.MULTILINE)
    return [int(cell.replace(",", "")) for cell in row.split()]


async def test_the_same_typing_loses_letters_on_the_obvious_server_and_none_on_this() -> None:
    code, output = await storm()
    assert code == 0, output
    obvious, ours = lost(output)
    assert obvious > 15 and ours == 0
    assert "This service kept all" in output and "The obvious server lost" in output
    [typed] = re.findall(r"^letters typed +(\d+) +(\d+)$", output, re.MULTILINE)
    assert typed[0] == typed[1], "both servers got the same letters"


async def test_any_server_of_the_contract_can_be_measured_by_its_url(redis_server: Redis) -> None:
    node, naive = Node(redis_server.url, "measured"), Naive(redis_server.url)
    async with running(node, naive):
        (good, kept), (bad, destroyed) = await asyncio.gather(
            storm("--alone", "--url", node.url), storm("--alone", STORM_URL=naive.url)
        )
    assert good == 0 and lost(kept) == [0], kept
    assert f"\n{naive.url} lost" in destroyed
    assert bad == 1 and lost(destroyed)[0] > 15, destroyed


async def test_a_server_behind_tokens_is_measured_with_a_token(redis_server: Redis) -> None:
    async with running(node := Node(redis_server.url, "closed", COLLAB_AUTH_SECRET=SECRET)):
        alone = ("--alone", "--url", node.url)
        one = (*alone, "--room", "interview", "--token", token("ada", rooms=["interview"]))
        without, elsewhere, many, first = await asyncio.gather(
            storm(*alone),
            storm(*alone, STORM_TOKEN=token("ada", rooms=["other-*"])),
            storm(*alone, STORM_TOKEN=token("ada", rooms=["storm-*"])),
            storm(*one),
        )
        again = await storm(*one)
    assert without[0] == 2 and f"{node.url} refused the connection: " in without[1]
    assert elsewhere[0] == 2 and "lets nobody into the room storm-" in elsewhere[1]
    assert "(unauthorized)" in without[1] and "(not_allowed)" in elsewhere[1]
    assert many[0] == 0 and "0 of 4" in many[1], many
    assert first[0] == 0 and "0 of 1" in first[1], first
    assert again[0] == 2 and "has a text already: choose another" in again[1], again
    assert not any("Traceback" in output for _, output in (without, elsewhere, again))


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Accept connections and never answer."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serve an application; yield its URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def strange_server() -> web.Application:
    """Return a Socket.IO server whose `receive` has no text."""
    sio = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    sio.attach(app)

    async def join(sid: str, data: object) -> None:
        await sio.emit("receive", {"text": "x"}, to=sid)

    sio.on("join", join)
    return app


async def test_a_url_that_cannot_be_used_is_one_line_that_says_why() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with (
        silent_server() as silent,
        served(web.Application()) as other,
        served(strange_server()) as strange,
    ):
        expected = {
            nobody: f"storm: {nobody} can't be reached: ",
            silent: f"storm: {silent} did not answer within 5 seconds",
            other: f"storm: {other} does not speak Socket.IO over WebSocket: it answered 404",
            strange: 'the server sent what the contract has not: 42["receive",{"text":"x"}]',
            "localhost:8005": "storm: 'localhost:8005' is no URL of a server: it must be like http",
            "http://host:port": "storm: 'http://host:port' is no URL: ",
        }
        ends = await asyncio.gather(*(storm("--alone", "--url", url) for url in expected))
    for (code, output), said in zip(ends, expected.values(), strict=True):
        assert code == 2 and said in output and "Traceback" not in output, output
        assert len(output.splitlines()) <= 2, "the head, and the error"


async def test_a_storm_ends_though_a_server_hangs_while_people_type(redis_server: Redis) -> None:
    async with running(node := Node(redis_server.url, "hangs")):
        process = Process(*STORM, "--alone", "--url", node.url)
        async with running(process):
            assert process.process is not None and node.process is not None
            await asyncio.sleep(3)
            node.process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(ENDED_WITHIN):
                    code = await process.process.wait()
            finally:
                node.process.send_signal(signal.SIGCONT)
    assert code == 1 and "nobody can join any more" in process.output(), process.output()
    assert "Traceback" not in process.output()


async def test_on_a_terminal_the_table_is_redrawn_in_its_place(redis_server: Redis) -> None:
    master, terminal = pty.openpty()
    async with running(node := Node(redis_server.url, "terminal")):
        process = await asyncio.create_subprocess_exec(
            *STORM, "--alone", "--url", node.url, stdin=terminal, stdout=terminal, stderr=terminal,
            env={**os.environ, "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(terminal)
        output = await asyncio.to_thread(_read_all, master)
        assert await process.wait() == 0
    frames = output.split("\x1b[J")
    assert len(frames) > 5
    for frame in frames[1:-1]:
        lines = re.sub(r"\x1b\[[\d;]*[a-zA-Z]", "", frame).splitlines()
        assert len(lines) < 24 and max(map(len, lines)) < 80, frame
    assert "\x1b[36m" in frames[-1] and "kept all" in frames[-1]


def _read_all(master: int) -> str:
    """Return what a terminal showed until its last process closed it."""
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # what Linux says at the end of a terminal
            piece = b""
        if not piece:
            os.close(master)
            return b"".join(pieces).decode(errors="replace")
        pieces.append(piece)
