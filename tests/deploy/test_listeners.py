"""nginx' listeners: the public one serves only what pages need, another one serves `/api`."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import unquote

import aiohttp
import psutil
import pytest

from tests.deploy.polling import ANSWER_TIMEOUT
from tests.support.cluster import Cluster, Nginx
from tests.support.processes import running

ROOM, CODE = "secret", "the room's text"
METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS")
READING = ("GET", "HEAD")
HISTORY = "/api/rooms/secret/history"
ALLOWED_PATHS = re.compile(
    r"/|/(healthz|readyz|socket\.io/)|/(assets|yjs)/.*|/(?!api/)[^/]+/playback"
    r"|/api/rooms/[^/]+/history",
    re.DOTALL,
)
PIECES = (
    "/", "//", "/", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "%252f", "%252e", "%5c", ";", "#",
    "?", "%23", "%3f", "%00", "%0a", "%20", "api", "API", "%61pi", "rooms", "secret", "history",
    "playback", "assets", "yjs", "socket.io", "metrics",
)  # fmt: skip
BURST = 700
"""Connections at once: more than the 512 that nginx accepts by default."""


class Answer:
    """The status and the body of a response, and whether nginx made it without a node."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])
        self.from_nginx = b"nginx</center>" in self.body


async def ask(port: int, target: str, method: str = "GET", *headers: str) -> Answer:
    """Send a request whose target no library normalizes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(ANSWER_TIMEOUT):
        answer = Answer(await reader.read())
    writer.close()
    await writer.wait_closed()
    return answer


class Upstream:
    """Takes the place of a node, and keeps nginx' requests: method, target, headers."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        self.requests.append((method, target, headers))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with server:
        yield upstream


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    async with listening() as there:
        yield there


@pytest.fixture(scope="module")
async def nginx(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Nginx]:
    balancer = Nginx(tmp_path_factory.mktemp("nginx"), upstream.port)
    async with running(balancer):
        yield balancer


@pytest.fixture(scope="module")
async def written(cluster: Cluster) -> None:
    """Create a room with a text through the API's listener."""
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{cluster.api_url}/api/rooms/{ROOM}", json={"code": CODE}) as put,
    ):
        assert put.status in (200, 201), await put.text()


@pytest.mark.parametrize(
    "target",
    [
        "/api",
        "/api/",
        "/api/rooms",
        "/api/rooms?limit=1",
        "/api/rooms/secret",
        "/api/rooms/secret/",
        "/api/rooms/secret/history/",
        "/api/rooms/a/secret/history",
        "/api/rooms//history",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs/start.js",
        "/api/playback",
        "//api/rooms",
        "///api//rooms//secret",
        "/./api/rooms",
        "/api/../api/rooms",
        "/x/../api/rooms/secret",
        "/assets/../api/rooms/secret",
        "/assets/..%2fapi/rooms/secret",
        "/assets/%2e%2e/api/rooms/secret",
        "/assets%2f%2e%2e%2fapi%2frooms%2fsecret",
        "/yjs/%2E%2E/api/rooms/secret",
        "/socket.io/../api/rooms/secret",
        "/secret/playback/../../api/rooms/secret",
        "/api/rooms/secret/history/..",
        "/api/rooms/secret/history/%2e%2e",
        "/api/rooms/secret/history%2f..",
        "/api/rooms/secret#/history",
        "/%61pi/rooms/secret",
        "/%2fapi/rooms/secret",
        "/api%2frooms",
        "/api%2Frooms%2Fsecret",
        "/api/rooms%2fsecret",
        "/API/rooms",
        "/api/rooms/secret/History",
        "http://x/api/rooms/secret",
        "/metrics",
        "//%6detrics",
    ],
)
async def test_the_public_listener_refuses_everything_that_pages_do_not_need(
    cluster: Cluster, written: None, target: str
) -> None:
    for method in METHODS:
        answer = await ask(cluster.nginx.port, target, method)
        assert answer.status == 404, (method, answer.status, answer.body)
        assert answer.from_nginx or method == "HEAD", (method, answer.body)


async def test_the_public_listener_lets_clients_read_a_history_but_not_change_it(
    cluster: Cluster, written: None
) -> None:
    """Browsers read it for the page's playback."""
    for method in METHODS:
        answer = await ask(cluster.nginx.port, HISTORY + "?format=deltas", method)
        assert answer.status == (200 if method in READING else 404), method
        assert (CODE.encode() in answer.body) == (method == "GET")


async def test_a_browser_may_ask_whether_a_page_may_read_a_history_with_its_token(
    nginx: Nginx, upstream: Upstream
) -> None:
    question = "Access-Control-Request-Method: "
    asked = await ask(nginx.port, HISTORY, "OPTIONS", question + "GET", "Origin: https://a.example")
    assert asked.status == 200 and upstream.requests[-1][:2] == ("OPTIONS", HISTORY)
    for method in ("PUT", "DELETE", "GET, PUT", ""):
        assert (await ask(nginx.port, HISTORY, "OPTIONS", question + method)).status == 404
    assert (await ask(nginx.port, "/api/rooms/secret", "OPTIONS", question + "GET")).status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 200),
        ("/?room=r&playback", 200),
        ("/assets/nothing.js", 404),
        ("/r/playback", 302),
        ("/socket.io/?EIO=4&transport=polling", 200),
        ("/yjs/r", 426),
        ("/healthz", 200),
        ("/readyz", 200),
    ],
)
async def test_the_public_listener_serves_what_pages_need(
    cluster: Cluster, target: str, status: int
) -> None:
    answer = await ask(cluster.nginx.port, target)
    assert (answer.status, answer.from_nginx) == (status, False), answer.body


async def test_the_node_gets_the_path_that_was_checked(nginx: Nginx, upstream: Upstream) -> None:
    """A node reads a raw path in another way, and would then do what nginx refuses."""
    await ask(nginx.port, "/x/..//yjs/%2e/a%3Ab%20c%2525?d=%2f..%2f&e#f")
    assert upstream.requests[-1][1] == "/yjs/a:b%20c%2525?d=%2f..%2f&e"
    chance = random.Random(8005)
    upstream.requests.clear()
    for _ in range(1500):
        pieces = chance.choices(PIECES, k=chance.randrange(1, 12))
        await ask(nginx.port, "/" + "".join(pieces), chance.choice(METHODS))
    assert len(upstream.requests) > 50
    for method, target, _ in upstream.requests:
        path = unquote(target.partition("?")[0], "latin-1")
        assert ALLOWED_PATHS.fullmatch(path) and "//" not in path, target
        assert not {".", ".."} & set(path.split("/")), target
        assert method in READING or not path.startswith("/api/"), (method, target)


async def test_the_api_has_its_own_listener(
    cluster: Cluster, written: None, http: aiohttp.ClientSession
) -> None:
    room = f"{cluster.api_url}/api/rooms/{ROOM}"
    async with http.get(room) as got:
        assert (await got.json())["code"] == CODE
    for path in ("openapi.json", "docs", "docs/start.js", "docs/swagger-ui-bundle.js"):
        async with http.get(f"{cluster.api_url}/api/{path}") as answer:
            assert answer.status == 200, path
    for path in ("/", "/assets/a", "/socket.io/", "/yjs/r", "/r/playback", "/metrics", "/readyz"):
        refused = await ask(cluster.nginx.api_port, path)
        assert (refused.status, refused.from_nginx) == (404, True), path


async def test_the_apis_listener_is_on_loopback(nginx: Nginx) -> None:
    """CLUSTER_HOST is only the public address; other services use a port on loopback."""
    with socket.socket() as probe:
        # This fails if nginx listens on all addresses.
        probe.bind(("127.0.0.2", nginx.api_port))
    assert (await ask(nginx.api_port, "/api/rooms")).status == 200


async def test_each_request_has_an_id_that_its_client_cannot_choose(
    nginx: Nginx, upstream: Upstream
) -> None:
    """nginx' access log has the same id as the header, which the node logs."""
    tag = secrets.token_hex(8)
    for port, target in ((nginx.port, f"/assets/{tag}"), (nginx.api_port, f"/api/{tag}")):
        await ask(port, target, "GET", "X-Request-Id: mine")
        _, path, headers = upstream.requests[-1]
        [logged] = [line["request"] for line in nginx.requests() if line["path"] == target]
        assert path == target
        assert headers["x-request-id"] == logged
        assert re.fullmatch("[0-9a-f]{32}", logged)


async def test_a_client_cannot_choose_the_address_that_a_node_counts_it_by(
    nginx: Nginx, upstream: Upstream
) -> None:
    for port in (nginx.port, nginx.api_port):
        await ask(port, "/api/rooms/secret/history", "GET", "X-Forwarded-For: 192.0.2.7, 10.0.0.1")
        assert upstream.requests[-1][2]["x-forwarded-for"] == "127.0.0.1"


async def test_many_simultaneous_connections_wait_in_the_backlog(nginx: Nginx) -> None:
    """If the backlog were full, clients that reconnect would have to retry for seconds."""
    master = psutil.Process(nginx.pid)
    family = [master, *master.children()]
    async with AsyncExitStack() as closing:
        for process in family:
            process.suspend()
            closing.callback(process.resume)
        opening = [asyncio.open_connection("127.0.0.1", nginx.port) for _ in range(BURST)]
        async with asyncio.timeout(ANSWER_TIMEOUT):
            for _, writer in await asyncio.gather(*opening):
                closing.callback(writer.close)
