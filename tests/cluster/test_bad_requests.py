"""Whatever bytes come in: the node goes on, and its log is lines, none of them a traceback."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import struct
from collections.abc import Iterator

import aiohttp
import pytest
from yarl import URL

from tests.cluster.wire import wire_member
from tests.support.clients import eventually
from tests.support.processes import Node, Redis, running

HEAD = "Host: x\r\n"
UPGRADE = (
    "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MARK = "s3cret"
"""Stands in what is sent, where a log would show it if it repeated what clients say."""
FORGED = "%0a12:00:00.000%20ERROR%20forged%1b[2J%e2%80%a8"
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} [A-Z]+ +[a-z/ ]+  node=text( [a-z]+=.*)?")
ENDPOINTS = ("/socket.io/?EIO=4&transport=websocket", "/yjs/fuzz")


def bad_lines() -> Iterator[bytes]:
    """Yield what is no request line."""
    yield from (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\x00\x01\x02\r\n\r\n")
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)  # a TLS greeting
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"
    yield b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET //// HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET x:y HTTP/1.1\r\nHost: x\r\n\r\n"
    for method in ("BREW", "get", "G\x00T", "PATCH", "TRACE", "M-SEARCH", "X" * 5000, "GE T"):
        for path in ("/", "/socket.io/?EIO=4", "/yjs/r", "/api/rooms/r", "/readyz"):
            yield f"{method} {path} HTTP/1.1\r\n{HEAD}\r\n".encode()


def bad_headers() -> Iterator[bytes]:
    """Yield requests whose headers are none, or too many, or lie about the body."""
    for header in (
        f"{MARK}", f": {MARK}", f"X{MARK} : x", f"X-\x00: {MARK}", f"X: {MARK}\x00",
        f"X: {MARK}\x0b",
        f"X: {MARK}\r\n folded", "X: " + MARK * 5000, "X" * 20_000 + ": x", "Host: y",
        f"Content-Length: {MARK}", "Content-Length: -1", "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 99999999999999999999", "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked", f"Transfer-Encoding: {MARK}", "Expect: 200-maybe",
        "Expect: \xff",
        "Connection: \xff", f"Origin: {MARK}\xff", f"Cookie: {MARK}={MARK}; \xff",
        "Range: bytes=9-1",
        "Range: chairs=0-1", "If-Modified-Since: never", f"Authorization: {MARK}",
        f"X-Request-Id: {MARK} \x7f", "Accept-Encoding: \xff",
        f"Content-Type: {MARK}/\xff; charset=x",
        "X-Forwarded-For: \xff\x7f", "Upgrade: websocket", "Upgrade: h2c\r\nConnection: Upgrade",
    ):  # fmt: skip
        for line in ("GET /", "PUT /api/rooms/r", "GET /socket.io/?EIO=4", "GET /yjs/r"):
            yield f"{line} HTTP/1.1\r\n{HEAD}{header}\r\n\r\n".encode("latin-1")
    many = "".join(f"X-{i}: {MARK}\r\n" for i in range(5000))
    yield f"GET / HTTP/1.1\r\n{HEAD}{many}\r\n".encode()


def bad_bodies(sid: str) -> Iterator[bytes]:
    """Yield requests whose bodies are not as their headers say, and some that end too soon."""
    packed = gzip.compress(b'{"code":"x"}')
    bodies = [
        ("Transfer-Encoding: chunked", b"zz\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\nabcdefgh\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"-5\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"5;" + b"x" * 20_000 + b"\r\nabcde\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"ffffffffffffffffff\r\nabc"),
        ("Transfer-Encoding: chunked", b"5\r\nab"),
        ("Content-Length: 100", b"{"),
        ("Content-Length: 3", b"\xff\xfe\xfd"),
        ("Content-Length: 0", b""),
    ]
    for coding in ("gzip", "deflate", "br", "zstd", "x-unknown", "gzip, gzip"):
        for body in (
            MARK.encode(),
            packed,
            packed[:-4],
            packed[:12] + b"\xff" * 20,
            b"\x1f\x8b",
            b"",
        ):
            bodies.append((f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}", body))
    for target in (
        "PUT /api/rooms/fuzz", "DELETE /api/rooms/fuzz", "GET /api/rooms/fuzz",
        f"POST /socket.io/?EIO=4&transport=polling&sid={sid}",
        f"GET /socket.io/?EIO=4&transport=polling&sid={sid}{MARK}", "POST /yjs/fuzz",
        "GET /yjs/fuzz",
    ):  # fmt: skip
        for headers, body in bodies:
            head = f"{target} HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n{headers}\r\n\r\n"
            yield head.encode() + body


def bad_targets(sid: str) -> Iterator[bytes]:
    """Yield paths and queries that nobody should ask for."""
    parts = (
        "%", "%zz", "%00", "%ff", "%0a", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a" * 300, "a" * 8000,
        "%c0%af", "\\", "%ed%a0%80", "%E2%80%A8", FORGED, "~", ";x", "\xff", "é", "?", "#", " ",
    )  # fmt: skip
    for part in parts:
        for path in (
            f"/{part}", f"/assets/{part}", f"/assets/../{part}", f"/{part}/playback",
            f"/yjs/{part}",
            f"/api/rooms/{part}", f"/api/rooms/{part}/history", f"/api/{part}",
            f"/api/rooms?{part}",
            f"/api/rooms?cursor={part}", f"/api/rooms/r/history?format={part}", f"/readyz/{part}",
            f"/socket.io/{part}", f"/socket.io/?EIO=4&transport=polling&{part}={part}",
            f"/yjs/r?{part}",
            f"/?room={part}",
        ):  # fmt: skip
            yield f"GET {path} HTTP/1.1\r\n{HEAD}\r\n".encode("latin-1")
        for method in ("PUT", "DELETE", "HEAD", "OPTIONS"):
            yield f"{method} /api/rooms/{part} HTTP/1.1\r\n{HEAD}\r\n".encode("latin-1")
    values = (
        "",
        "4",
        "3",
        "0",
        "-1",
        "NaN",
        "polling",
        "websocket",
        "x" * 5000,
        FORGED,
        "%00",
        "%ff",
    )
    for method in ("GET", "POST", "OPTIONS", "HEAD", "PUT"):
        for value in values:
            for query in (
                f"EIO={value}", f"EIO=4&transport={value}", f"EIO=4&transport=polling&sid={value}",
                f"EIO=4&transport=websocket&sid={value}", f"EIO=4&transport=polling&j={value}",
                f"EIO=4&transport={value}&sid={sid}", f"EIO=4&EIO={value}",
                f"sid={sid}&sid={value}",
                f"EIO=4&transport=polling&sid={sid}&j={value}" if method != "GET" else "EIO=5",
            ):  # fmt: skip
                yield f"{method} /socket.io/?{query} HTTP/1.1\r\n{HEAD}\r\n".encode()


def bad_handshakes(sid: str) -> Iterator[bytes]:
    """Yield handshakes of WebSockets that can't be one."""
    for endpoint in (*ENDPOINTS, f"/socket.io/?EIO=4&transport=websocket&sid={sid}"):
        for wrong in (
            ("Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", ""),
            ("MDEyMzQ1Njc4OWFiY2RlZg==", MARK), ("MDEyMzQ1Njc4OWFiY2RlZg==", "\xff\xff"),
            ("Version: 13", "Version: 99"), ("Version: 13", "Version: x"),
            ("Sec-WebSocket-Version: 13\r\n", ""),
            ("Connection: Upgrade\r\n", ""), ("Connection: Upgrade", "Connection: close"),
            ("Upgrade: websocket\r\n", ""), ("Upgrade: websocket", "Upgrade: WebSocket, h2c"),
            ("\r\n\r\n", f"\r\nSec-WebSocket-Protocol: {MARK}, \xff\r\n\r\n"),
            ("\r\n\r\n", f"\r\nSec-WebSocket-Extensions: permessage-deflate; {MARK}=\xff\r\n\r\n"),
            ("\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n\r\n"),
        ):  # fmt: skip
            head = f"GET {endpoint} HTTP/1.1\r\n{UPGRADE.replace(*wrong)}"
            yield head.encode("latin-1")
            yield head.encode("latin-1") + b"\x81\x85abcd" + MARK.encode()
        for method in ("POST", "PUT", "HEAD", "OPTIONS"):
            yield f"{method} {endpoint} HTTP/1.1\r\n{UPGRADE}".encode()


def frame(head: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    """Return a WebSocket frame, with the length that it claims to have."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        start = struct.pack("!BB", head, bit | size)
    elif size < 1 << 16:
        start = struct.pack("!BBH", head, bit | 126, size)
    else:
        start = struct.pack("!BBQ", head, bit | 127, size)
    return start + (bytes(4) if masked else b"") + payload


def bad_frames(rng: random.Random) -> Iterator[bytes]:
    """Yield what comes through a WebSocket after its handshake."""
    text = MARK.encode()
    frames = [
        frame(0x81, text, masked=False), frame(0x83, text), frame(0xF1, text), frame(0xC1, text),
        frame(0x80, text), frame(0x01, text) + frame(0x81, text), frame(0x89, text * 40),
        frame(0x88, b"\x03"), frame(0x88, b"\x00\x01"), frame(0x88, b"\x03\xe8\xff\xff"),
        frame(0x88, struct.pack("!H", 999)), frame(0x81, b"\xff\xfe"), frame(0x81, b""),
        frame(0x82, b""), frame(0x82, rng.randbytes(40)), frame(0x81, b"9" + text), frame(0x81,
        b"4"),
        frame(0x81, b"44" + text), frame(0x81, b"45" + text), frame(0x81, b'42["\xed\xa0\x80"]'),
        frame(0x81, b"b!!" + text), frame(0x81, b'42["join"]'), frame(0x81, b"42" + b"[" * 5000),
        frame(0x81, b"40/nowhere," + text), frame(0x81, b'40{"name":' + b"9" * 5000 + b"}"),
        frame(0x81, b"4" * 70_000), frame(0x82, text, length=1 << 62),
        frame(0x82, text, length=1 << 24),
        frame(0x81, b"3" * 3) * 50, frame(0x81, b"1"), frame(0x81, b"41"), frame(0x81, b"5"),
        b"\x81",
    ]  # fmt: skip
    frames += [rng.randbytes(rng.randint(1, 60)) for _ in range(60)]
    for one in frames:
        for endpoint in ENDPOINTS:
            open_first = (
                frame(0x81, b"40") if "socket.io" in endpoint and rng.random() < 0.7 else b""
            )
            yield f"GET {endpoint} HTTP/1.1\r\n{UPGRADE}".encode() + open_first + one


def mutated(rng: random.Random, requests: list[bytes], count: int) -> Iterator[bytes]:
    """Yield requests with some bytes changed, lost or doubled."""
    for _ in range(count):
        out = bytearray(rng.choice(requests)[:4000])
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(out) + 1)
            out[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
        yield bytes(out)


async def throw(port: int, request: bytes, rng: random.Random, patience: float = 0.05) -> None:
    """Send ``request``, read what comes for a moment, and go, politely or not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(patience):
            while await reader.read(1 << 16):
                pass
    except (TimeoutError, OSError):
        pass
    finally:
        if rng.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()


async def session_id(port: int) -> str:
    """Open an Engine.IO session by polling."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{HEAD}\r\n".encode())
    said = await reader.readuntil(b"}")
    writer.close()
    return str(json.loads(said.partition(b"\r\n\r\n0")[2])["sid"])


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_what_is_no_request_harms_nobody_and_is_never_a_traceback(
    redis_server: Redis, room: str, level: str
) -> None:
    rng = random.Random(7)
    node = Node(redis_server.url, "fuzzed", COLLAB_LOG_LEVEL=level)
    async with running(node), wire_member(node.url) as member:
        await member.join(room)
        sid = await session_id(node.port)
        requests = [
            *bad_lines(), *bad_headers(), *bad_bodies(sid), *bad_targets(sid), *bad_handshakes(sid),
            *bad_frames(rng),
        ]  # fmt: skip
        requests += mutated(rng, requests, 300)
        for start in range(0, len(requests), 50):
            portion = requests[start : start + 50]
            await asyncio.gather(*(throw(node.port, request, rng) for request in portion))
        assert (await member.ask("change", {"room": room, "code": "as before"}))["ok"]
        assert await node.stop() == 0
    lines = [json.loads(line) for line in node.output().split("\n") if line]
    assert all(line["node"] == "fuzzed" for line in lines)
    loud = [line for line in lines if line["level"] not in ("info", "debug") or "traceback" in line]
    assert [line["event"] for line in loud] == ["open to everybody"], json.dumps(loud[:3], indent=1)
    assert "Traceback" not in node.output() and MARK not in node.output()


async def test_a_client_can_forge_no_line_of_the_text_log(redis_server: Redis) -> None:
    node = Node(
        redis_server.url, "text", COLLAB_LOG_FORMAT="text", COLLAB_CORS_ORIGINS="http://a.b"
    )
    rng = random.Random(7)
    async with running(node):
        for request in bad_targets("none"):
            await throw(node.port, request, rng, patience=0.002)
        await throw(
            node.port,
            f"GET /yjs/r HTTP/1.1\r\n{HEAD}Origin: http://x y=z\x9b\r\n\r\n".encode(),
            rng,
        )
    lines = node.output().split("\n")[:-1]
    assert any("origin refused" in line for line in lines)
    for line in lines:
        assert LINE.fullmatch(line) and line.isprintable(), line


async def test_a_polling_body_that_cannot_be_unpacked_gets_an_error_and_the_session_goes_on(
    nodes: tuple[Node, Node],
) -> None:
    # A new connection each time: that of the bad body is closed behind the answer.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        sid = await session_id(nodes[0].port)
        url = f"{nodes[0].url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        async with session.post(
            url, data=b"no gzip", headers={"Content-Encoding": "gzip"}
        ) as answer:
            assert answer.status == 200
        async with session.post(url, data="40") as answer:
            assert answer.status == 200
        async with session.get(url) as answer:
            assert '"code":"bad_event"' in await answer.text()


async def test_packets_behind_the_end_of_a_polling_session_are_not_handled(
    redis_server: Redis,
) -> None:
    node = Node(redis_server.url, "ended")
    async with running(node), aiohttp.ClientSession() as session:
        sid = await session_id(node.port)
        url = f"{node.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        async with session.post(url, data='1\x1e40\x1e42["join",{"room":"ended"}]') as answer:
            assert answer.status == 200
    assert "Traceback" not in node.output() and '"event":"connected"' not in node.output()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/assets/" + "a" * 5000, 404), ("/assets/%00", 404), ("/assets/..%2findex.html", 404),
        ("/a%20b/playback", 404), ("/%ff/playback", 404), ("/a%3Ab/playback", 302),
        ("/assets/../index.html", 404),
    ],
)  # fmt: skip
async def test_odd_paths_of_the_page_are_found_or_not(
    nodes: tuple[Node, Node], path: str, status: int
) -> None:
    url = URL(nodes[0].url + path, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        assert answer.status == status
        if status == 302:
            assert answer.headers["Location"] == "/?room=a:b&playback"


async def test_handshakes_that_fail_leave_no_session_behind(redis_server: Redis) -> None:
    node = Node(redis_server.url, "small", COLLAB_MAX_CONNECTIONS="1")
    rng = random.Random(7)
    async with running(node):
        for request in bad_handshakes("none"):
            if b"EIO=4" in request and b"Connection: Upgrade" not in request:
                await throw(node.port, request, rng)
        for wrong in ("Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 99"):
            name = wrong.partition(":")[0]
            lines = [line for line in UPGRADE.split("\r\n")[:-2] if not line.startswith(name)]
            head = "\r\n".join([f"GET {ENDPOINTS[0]} HTTP/1.1", *lines, wrong, "", ""])
            await throw(node.port, head.encode(), rng)
        async with wire_member(node.url) as member:
            await member.join("small")


async def test_what_a_request_causes_is_logged_with_the_id_that_the_load_balancer_gave_it(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "asked", COLLAB_PING_INTERVAL="0.3", COLLAB_PING_TIMEOUT="0.3")
    gone = 0
    async with running(node), aiohttp.ClientSession() as session:
        for path, id in (
            (ENDPOINTS[0], "first"), (ENDPOINTS[1], "second_2-"), (ENDPOINTS[1], "not sane"),
        ):  # fmt: skip
            async with session.ws_connect(node.url + path, headers={"X-Request-Id": id}) as ws:
                if "socket.io" in path:
                    await ws.send_str("40")
                    await ws.send_str(f'42["join",{{"room":"{room}"}}]')
                    await eventually(lambda: '"event":"joined"' in node.output())
            gone += 1
            await eventually(lambda n=gone: node.output().count('"event":"disconnected"') == n)
        silent = await session.get(
            f"{node.url}/socket.io/?EIO=4&transport=polling", headers={"X-Request-Id": "third"}
        )
        sid = json.loads((await silent.text())[1:])["sid"]
        url = f"{node.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        await session.post(url, data="40", headers={"X-Request-Id": "fourth"})
        await eventually(lambda: node.output().count('"event":"disconnected"') == 4)
    lines = [json.loads(line) for line in node.output().splitlines()]
    caused = [(line["event"], line.get("request")) for line in lines if "sid" in line]
    assert caused == [
        ("connected", "first"), ("joined", "first"), ("disconnected", "first"),
        ("connected", "second_2-"), ("disconnected", "second_2-"),
        ("connected", None), ("disconnected", None),
        ("connected", "fourth"), ("disconnected", None),
    ]  # fmt: skip
