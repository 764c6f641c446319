"""The Python programs of docs/clients, against real nodes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from string import ascii_lowercase

import pytest
import redis.asyncio

from tests.support.clients import eventually
from tests.support.processes import ROOT, Node, Redis, running
from tests.support.tokens import SECRET, token
from tests.support.yjs import YjsHost

PROGRAMS = ROOT / "docs" / "clients"
LINES = 30
KEY = "a-key-of-the-tests"

Nodes = tuple[Node, Node]


class Program:
    """A program that runs, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed: list[str] = []
        self.complaints: list[str] = []

    async def read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        async for line in stream:
            lines.append(line.decode().rstrip("\n"))

    async def prints(self, line: str) -> None:
        await eventually(
            lambda: line in self.printed,
            f"no {line!r}: {self.printed[-9:]}, {self.complaints[-9:]}",
        )

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def ends(self) -> None:
        """Close the program's input; it must then end by itself, without a traceback."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            assert await self.process.wait() == 0, self.complaints


@asynccontextmanager
async def running_program(path: str, *arguments: str, **env: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAMS / path), *arguments, env=env, limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    program = Program(process)
    reading = [
        asyncio.create_task(program.read(process.stdout, program.printed)),
        asyncio.create_task(program.read(process.stderr, program.complaints)),
    ]
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*reading)


@pytest.mark.parametrize(
    "paths",
    [
        ("python/async_client.py", "python/async_client.py"),
        ("python/threaded_client.py", "python/threaded_client.py"),
        ("python/async_client.py", "python/threaded_client.py"),
    ],
    ids=["async", "threaded", "both"],
)
async def test_two_python_programs_that_write_at_once_lose_no_line(
    nodes: Nodes, room: str, paths: tuple[str, str], store: redis.asyncio.Redis
) -> None:
    random = Random(1)
    typed = [["".join(random.choices(ascii_lowercase, k=12)) for _ in range(LINES)] for _ in "ab"]
    await store.set(f"code_{room}", "begin\n", ex=1800)

    async def type_all(program: Program, lines: Iterable[str]) -> None:
        for line in lines:
            program.type(line)
            await asyncio.sleep(random.uniform(0, 0.02))

    async with (
        running_program(paths[0], nodes[0].url, room) as one,
        running_program(paths[1], nodes[1].url, room) as other,
    ):
        programs = (one, other)
        for program in programs:
            await program.prints("begin")
        await asyncio.gather(*(type_all(*each) for each in zip(programs, typed, strict=True)))
        for program, lines in zip(programs, typed, strict=True):
            await program.prints(f"stored: {lines[-1]}")
            await program.ends()
            assert program.complaints == ["disconnected: client disconnect"]
    code = (await store.get(f"code_{room}")).decode()
    assert sorted(code.split()) == sorted(["begin", *typed[0], *typed[1]])


@pytest.fixture(scope="module")
async def closed_node(redis_server: Redis) -> AsyncIterator[Node]:
    """A node that asks for tokens and keys."""
    node = Node(redis_server.url, "closed", COLLAB_AUTH_SECRET=SECRET, COLLAB_API_KEY=KEY)
    async with running(node):
        yield node


@pytest.mark.parametrize("path", ["python/async_client.py", "python/threaded_client.py"])
async def test_a_python_program_shows_its_token(
    closed_node: Node, room: str, path: str, store: redis.asyncio.Redis
) -> None:
    shown = token("ann", rooms=[room])
    async with running_program(path, closed_node.url, room, TOKEN=shown) as program:
        program.type("by Ann")
        await program.prints("stored: by Ann")
        await program.ends()
    assert await store.get(f"code_{room}") == b"by Ann\n"


async def test_a_bot_that_edits_by_http_removes_nothing_that_is_typed_meanwhile(
    nodes: Nodes, yjs: YjsHost, room: str
) -> None:
    page = await yjs.connect(nodes[1].url, room)
    typed = ""

    async def type_on() -> None:
        nonlocal typed
        while True:
            letter = ascii_lowercase[len(typed) % 26]
            page.edit(["append", letter])
            typed += letter
            await asyncio.sleep(0.005)

    typing = asyncio.create_task(type_on())
    for number in range(5):
        async with running_program("bot.py", nodes[0].url, room, f"line {number}") as bot:
            await bot.ends()
    typing.cancel()
    assert len(typed) > 50
    await page.shows(f"# bot: line 4\n{typed}")


async def test_a_bot_shows_its_key_and_is_told_when_it_is_not_accepted(
    closed_node: Node, room: str, store: redis.asyncio.Redis
) -> None:
    arguments = ("bot.py", closed_node.url, room, "a line")
    async with running_program(*arguments, API_KEY="another key") as bot:
        assert await bot.process.wait() == 1
    assert bot.complaints[0].startswith("401: ")
    assert await store.get(f"code_{room}") is None
    async with running_program(*arguments, API_KEY=KEY) as bot:
        await bot.ends()
    assert await store.get(f"code_{room}") == b"# bot: a line\n"


async def test_two_bots_that_come_first_at_once_make_one_text(
    nodes: Nodes, room: str, store: redis.asyncio.Redis
) -> None:
    async with (
        running_program("bot.py", nodes[0].url, room, "one") as one,
        running_program("bot.py", nodes[1].url, room, "two") as two,
    ):
        for bot in (one, two):
            await bot.ends()
    assert await store.get(f"code_{room}") in (b"# bot: one\n", b"# bot: two\n")


async def test_python_programs_say_what_they_could_not_store_and_come_back(
    redis_server: Redis, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "comes-and-goes")
    paths = {f"{room}-{name}": f"python/{name}_client.py" for name in ("async", "threaded")}
    async with running(node), AsyncExitStack() as stack:
        programs = [
            await stack.enter_async_context(running_program(path, node.url, name))
            for name, path in paths.items()
        ]

        async def all_type(line: str, prints: str) -> None:
            for program in programs:
                program.type(line)
            for program in programs:
                await program.prints(prints)

        await all_type("one", "stored: one")
        await node.kill()
        for program in programs:
            await eventually(lambda program=program: program.complaints)
        await all_type("two", "perhaps not stored: two")
        await node.start()
        for name, program in zip(paths, programs, strict=True):
            await program.prints(f"--- {name}")  # the text that it gets when it has joined again
        await all_type("three", "stored: three")
        for program in programs:
            await program.ends()
    for name in paths:
        assert await store.get(f"code_{name}") == b"one\nthree\n"
