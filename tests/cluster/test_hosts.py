"""Under which names, and in which pages, a node is reached: with a key, with a list of hosts."""

from __future__ import annotations

import re

import aiohttp
import pytest

from tests.cluster.test_refusals import ALL_IN, ALL_OUT, HANDSHAKES, PAGE
from tests.support.processes import Node, Redis, running

NAME = "collab.example"


async def statuses(node: Node, headers: dict[str, str]) -> dict[str, int]:
    """Begin a connection at each endpoint; return the statuses of the responses."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for how, (path, upgrade) in HANDSHAKES.items():
            async with session.get(node.url + path, headers={**upgrade, **headers}) as answer:
                found[how] = answer.status
    return found


async def test_with_a_key_only_the_own_page_may_connect_also_behind_a_proxy(
    redis_server: Redis,
) -> None:
    node = Node(redis_server.url, "closed", COLLAB_API_KEY="s3cret")
    async with running(node):
        for own in ({}, {"Origin": node.url}, {"Origin": f"http://localhost:{node.port}"}):
            assert await statuses(node, own) == ALL_IN, own
        # A proxy passes on the address that it has in the browser.
        proxied = {"Host": "192.0.2.7:8443", "Origin": "https://192.0.2.7:8443"}
        assert await statuses(node, proxied) == ALL_IN
        rebound = f"evil.example:{node.port}"
        for headers in (
            {"Origin": PAGE},
            {"Origin": "null"},
            {"Host": rebound, "Origin": f"http://{rebound}"},
        ):
            assert await statuses(node, headers) == ALL_OUT, headers


async def test_a_listed_host_is_the_own_page_and_every_other_host_is_refused_at_every_path(
    redis_server: Redis,
) -> None:
    node = Node(redis_server.url, "named", COLLAB_HOSTS=NAME, COLLAB_CORS_ORIGINS=PAGE)
    async with running(node), aiohttp.ClientSession() as session:
        for origin in (f"https://{NAME}", PAGE):
            assert await statuses(node, {"Host": NAME, "Origin": origin}) == ALL_IN
        for host in ("evil.example", f"evil.example:{node.port}", f"127.0.0.1:{node.port}"):
            told = await statuses(node, {"Host": host, "Origin": f"http://{host}"})
            assert told == dict.fromkeys(HANDSHAKES, 421)
        for path in ("/", "/assets/x.js", "/api/rooms", "/r/playback", "/nowhere"):
            async with session.get(node.url + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 421
                error = (await answer.json())["error"]
                assert error["code"] == "wrong_host" and "COLLAB_HOSTS" in error["message"]
        for path in ("/healthz", "/readyz", "/metrics"):
            for host, status in ((f"127.0.0.1:{node.port}", 200), ("evil.example", 421)):
                async with session.get(node.url + path, headers={"Host": host}) as answer:
                    assert answer.status == status, path
    assert '"event":"host refused"' in node.output() and "evil.example" in node.output()


@pytest.mark.parametrize(
    ("given", "ancestors"),
    [
        ("", "'self'"),
        (f"{PAGE},http://b.example:3000", f"'self' http://b.example:3000 {PAGE}"),
        ("*", "*"),
    ],
)
async def test_only_the_sites_of_the_setting_may_embed_the_page(
    redis_server: Redis, given: str, ancestors: str
) -> None:
    node = Node(redis_server.url, "embedded", COLLAB_FRAME_ANCESTORS=given)
    async with running(node), aiohttp.ClientSession() as session:
        async with session.get(node.url) as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
            assert "X-Frame-Options" not in answer.headers
        assert policy.endswith(f"; frame-ancestors {ancestors}")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        asset = re.search(r"assets/[\w.-]+\.js", page)
        assert asset
        async with session.get(f"{node.url}/{asset[0]}") as answer:
            assert answer.headers["Content-Security-Policy"] == policy
