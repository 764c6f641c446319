"""What one client may have of nginx: sizes, requests at once, sessions; and what a log keeps."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.polling import ANSWER_TIMEOUT
from tests.support.clients import eventually
from tests.support.cluster import Nginx
from tests.support.processes import running

OTHER = "127.0.0.2"
"""Another address of this machine: another client for nginx."""
SECRET = "do-not-log-me"
POLL = "/socket.io/?EIO=4&transport=polling"
REQUESTS, BODIES, SESSIONS = 6, 3, 10
"""The numbers for one address in these tests."""


class Upstream:
    """Takes the place of a node; keeps the targets of requests, and holds those with ``hold``."""

    def __init__(self) -> None:
        self.port = 0
        self.targets: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ")[1]
        self.targets.append(target)
        if "hold" in target:
            await reader.read()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    there = Upstream()
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    there.port = server.sockets[0].getsockname()[1]
    async with server:
        yield there


@pytest.fixture
async def nginx(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Nginx]:
    balancer = Nginx(tmp_path, upstream.port)
    balancer.env |= {
        "CLUSTER_REQUESTS_PER_ADDRESS": str(REQUESTS),
        "CLUSTER_BODIES_PER_ADDRESS": str(BODIES),
        "CLUSTER_SESSIONS_PER_ADDRESS": str(SESSIONS),
    }
    async with running(balancer):
        upstream.targets.clear()
        yield balancer


@asynccontextmanager
async def sent(
    nginx: Nginx, request: str, body: bytes = b"", address: str = "127.0.0.1"
) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request, perhaps not all of it; yield what reads the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port, local_addr=(address, 0))
    line, *headers = request.split("\n")
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])
    writer.write(head.encode() + body)
    try:
        yield reader
    finally:
        writer.close()


async def ask(nginx: Nginx, request: str, *rest: Any) -> tuple[int, dict[str, str], bytes]:
    """Send a request; return the status, headers and body of the response."""
    async with sent(nginx, request, *rest) as reader, asyncio.timeout(ANSWER_TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split(" ")[1]), headers, body


def code_of(body: bytes) -> str:
    """Return the code of an error; its form is that of the service."""
    error = json.loads(body)["error"]
    assert error.keys() == {"code", "message"} and error["message"]
    return str(error["code"])


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (f"GET {POLL}&token={'x' * 9000}", 414, "bad_request"),
        (f"GET {POLL}\nA: {'x' * 9000}", 431, "bad_request"),
        ("GET /\n" + "\n".join(f"A{n}: {'x' * 6000}" for n in range(8)), 431, "bad_request"),
        (f"POST {POLL}&sid=a\nContent-Length: {(4 << 20) + 1}", 413, "frame_too_large"),
        ("POST /yjs/r\nContent-Length: 1025", 413, "frame_too_large"),
    ],
    ids=["url", "header", "headers", "body", "needless-body"],
)
async def test_what_is_too_large_is_refused_in_json_and_never_reaches_a_node(
    nginx: Nginx, upstream: Upstream, request_: str, status: int, code: str
) -> None:
    found, headers, body = await ask(nginx, request_)
    assert (found, headers["content-type"], code_of(body)) == (status, "application/json", code)
    assert upstream.targets == []


async def test_a_token_of_six_kilobytes_reaches_the_node(nginx: Nginx, upstream: Upstream) -> None:
    for request in (
        f"GET /yjs/r?token={'x' * 6144}",
        f"GET /api/rooms/r/history\nAuthorization: Bearer {'x' * 6144}",
    ):
        assert (await ask(nginx, request))[0] == 200
    assert len(upstream.targets) == 2


async def test_one_address_may_begin_only_so_many_sessions_at_once_and_no_other_notices(
    nginx: Nginx, upstream: Upstream
) -> None:
    many = 20 * SESSIONS
    answers = []
    for _ in range(many // 5):  # fewer at once than an address may have
        answers += await asyncio.gather(*(ask(nginx, f"GET {POLL}") for _ in range(5)))
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) == {200, 429} and statuses[200] >= SESSIONS
    refused = next(answer for answer in answers if answer[0] == 429)
    assert code_of(refused[2]) == "rate_limited" and refused[1]["retry-after"] == "5"
    assert upstream.targets.count(POLL) == statuses[200]
    for request in (f"GET {POLL}&sid=known", "GET /", "GET /readyz"):
        assert (await ask(nginx, request))[0] == 200
    assert (await ask(nginx, f"GET {POLL}", b"", OTHER))[0] == 200
    logged = Counter(line["limited"] for line in nginx.requests())
    assert logged["sessions"] == statuses[429]


async def test_one_address_may_have_only_so_many_requests_at_once_and_no_other_notices(
    nginx: Nginx, upstream: Upstream
) -> None:
    async with asyncio.TaskGroup() as group:
        holding = [group.create_task(hold(nginx)) for _ in range(REQUESTS)]
        await eventually(lambda: len(upstream.targets) == REQUESTS)
        status, _, body = await ask(nginx, "GET /")
        assert (status, code_of(body)) == (429, "rate_limited")
        assert (await ask(nginx, "GET /", b"", OTHER))[0] == 200
        for task in holding:
            task.cancel()
    await eventually(lambda: len(nginx.requests()) == REQUESTS + 2, "nginx has let them go")
    assert (await ask(nginx, "GET /"))[0] == 200
    assert [line["limited"] for line in nginx.requests()].count("requests") == 1


async def hold(nginx: Nginx) -> None:
    async with sent(nginx, "GET /yjs/hold") as reader:
        await reader.read()


async def test_bodies_that_never_end_stay_in_nginx_and_one_address_may_have_few_of_them(
    nginx: Nginx, upstream: Upstream
) -> None:
    post = f"POST {POLL}&sid=a\nContent-Length: 100000"
    async with asyncio.TaskGroup() as group:
        slow = [group.create_task(begin(nginx, post)) for _ in range(BODIES)]
        await asyncio.gather(*(eventually(lambda t=task: t.get_name() == "sent") for task in slow))
        status, _, body = await ask(nginx, f"POST {POLL}&sid=a\nContent-Length: 1", b"x")
        assert (status, code_of(body)) == (429, "rate_limited")
        assert (await ask(nginx, "GET /"))[0] == 200
        assert (await ask(nginx, f"POST {POLL}&sid=a\nContent-Length: 1", b"x", OTHER))[0] == 200
        for task in slow:
            task.cancel()
    assert len(upstream.targets) == 2


async def begin(nginx: Nginx, post: str) -> None:
    async with sent(nginx, post, b"x" * 1000) as reader:
        task = asyncio.current_task()
        assert task
        task.set_name("sent")
        await reader.read()


async def test_no_log_has_a_query_string_not_even_when_nginx_itself_is_broken(
    nginx: Nginx, upstream: Upstream
) -> None:
    """The error log would repeat the line of a request that it tells about."""
    body = b"x" * (1 << 20)
    (nginx.home / "nginx" / "client_body").rmdir()
    (nginx.home / "nginx" / "client_body").write_text("no directory for bodies")
    post = f"POST {POLL}&sid=a&token={SECRET}\nAuthorization: Bearer {SECRET}"
    status, _, _ = await ask(nginx, f"{post}\nContent-Length: {len(body)}", body)
    assert status == 500
    for request in (
        f"GET /yjs/r?token={SECRET}\nReferer: http://x/?token={SECRET}",
        f"GET /yjs/r?token={SECRET}{'x' * 9000}",
        f"GET /?token={SECRET}\nContent-Length: {SECRET}",
        f"{SECRET} /{POLL}",
    ):
        await ask(nginx, request)
    await asyncio.gather(*(ask(nginx, f"GET {POLL}&token={SECRET}") for _ in range(REQUESTS)))
    upstream_gone = nginx.requests()
    assert len(upstream_gone) > REQUESTS
    assert SECRET not in nginx.output() + json.dumps(upstream_gone)
