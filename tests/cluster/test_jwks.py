"""Keys of tokens at a URL: read at the start, again when they change, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from collab.access import keys
from collab.access.keys import PublishedKeys
from collab.errors import AuthUnavailable, Unauthorized
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.tokens import SECRET, claims, ec_key, jwk, pem, raw, rsa_key, signed_by
from tests.support.yjs import YjsHost


class Issuer:
    """A user service that publishes its keys."""

    def __init__(self, *published: dict[str, Any]) -> None:
        self.answer: Callable[[], web.Response]
        self.publish(*published)
        self.reads = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    def publish(self, *published: dict[str, Any]) -> None:
        self.answer = lambda: web.json_response({"keys": list(published)})

    async def handle(self, request: web.Request) -> web.Response:
        self.reads += 1
        await self.may_answer.wait()
        return self.answer()


@asynccontextmanager
async def publishing(*published: dict[str, Any]) -> AsyncIterator[Issuer]:
    """Run an issuer with these keys."""
    issuer = Issuer(*published)
    app = web.Application()
    app.router.add_get("/keys", issuer.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        yield issuer
    finally:
        issuer.may_answer.set()
        await runner.cleanup()


@asynccontextmanager
async def reading(issuer: Issuer, interval: float = 300) -> AsyncIterator[PublishedKeys]:
    """Read an issuer's keys."""
    published = PublishedKeys(issuer.url, interval)
    await published.open()
    try:
        yield published
    finally:
        await published.close()


async def why(published: PublishedKeys, algorithm: str = "RS256", kid: str | None = "new") -> str:
    with pytest.raises(Unauthorized) as refused:
        await published.find(algorithm, kid)
    return refused.value.reason


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let unknown keys be looked for as often as they come."""
    monkeypatch.setattr(keys, "READ_PAUSE", 0.0)


async def test_keys_are_found_by_algorithm_and_id() -> None:
    listed = jwk(rsa_key(), kid="r"), jwk(ec_key(), kid="e")
    async with publishing(*listed) as issuer, reading(issuer) as published:
        for algorithm, kid in (("RS256", "r"), ("ES256", "e"), ("RS256", None)):
            assert await published.find(algorithm, kid)
        assert await why(published, "ES256", "r") == "unknown_key"
        assert issuer.reads == 1


async def test_unknown_keys_are_looked_for_at_once_but_not_for_each_token() -> None:
    async with publishing(jwk(rsa_key(), kid="r")) as issuer, reading(issuer) as published:
        for number in range(50):
            assert await why(published, kid=f"made up {number}") == "unknown_key"
        assert issuer.reads == 1


@pytest.mark.usefixtures("unhurried")
async def test_a_new_key_works_at_once_and_a_withdrawn_one_no_longer() -> None:
    async with publishing(jwk(rsa_key(), kid="old")) as issuer, reading(issuer) as published:
        issuer.publish(jwk(rsa_key(1), kid="new"))
        assert await published.find("RS256", "new")
        assert await why(published, kid="old") == "unknown_key"


async def test_withdrawn_keys_are_noticed_after_the_interval() -> None:
    old = jwk(rsa_key(), kid="old")
    async with publishing(old) as issuer, reading(issuer, interval=0.02) as published:
        issuer.publish(jwk(rsa_key(1), kid="next"))
        await eventually(lambda: issuer.reads > 2)
        assert await why(published, kid="old") == "unknown_key"


@pytest.mark.usefixtures("unhurried")
async def test_tokens_with_unknown_keys_that_come_together_wait_for_one_read() -> None:
    async with publishing(jwk(rsa_key(), kid="old")) as issuer, reading(issuer) as published:
        issuer.may_answer.clear()
        waiting = [asyncio.create_task(published.find("RS256", "new")) for _ in range(9)]
        await eventually(lambda: issuer.reads == 2)
        assert await published.find("RS256", "old")  # nobody with a known key waits
        issuer.publish(jwk(rsa_key(1), kid="new"))
        issuer.may_answer.set()
        assert len({id(key) for key in await asyncio.gather(*waiting)}) == 1
        assert issuer.reads == 2


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500}, {"text": "x"}, {"text": '{"keys": []}'}, {"body": b"[" * 300_000},
        {"status": 302, "headers": {"Location": "/keys"}},
    ],
    ids=["error", "no json", "no keys", "huge", "redirect"],
)  # fmt: skip
async def test_known_keys_stay_while_they_cannot_be_read_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    async with publishing(jwk(rsa_key(), kid="old")) as issuer, reading(issuer) as published:
        issuer.answer = lambda: web.Response(**answer)
        assert await why(published) == "unknown_key"
        assert await published.find("RS256", "old")
        monkeypatch.setattr(keys, "MAX_AGE", 0.0)
        for kid in ("old", "new"):
            with pytest.raises(AuthUnavailable):
                await published.find("RS256", kid)


@pytest.mark.usefixtures("unhurried")
async def test_a_node_starts_without_the_keys_and_has_them_when_they_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "READ_TIMEOUT", 0.05)
    async with publishing(jwk(rsa_key(), kid="r")) as issuer:
        issuer.may_answer.clear()
        async with reading(issuer) as published:
            with pytest.raises(AuthUnavailable):
                await published.find("RS256", "r")
            monkeypatch.setattr(keys, "READ_TIMEOUT", 5.0)  # a busy machine may need a while
            issuer.may_answer.set()
            assert await published.find("RS256", "r")


async def test_a_node_verifies_with_published_keys_and_follows_their_rotation(
    redis_server: Redis, js: JsHost, yjs: YjsHost, room: str
) -> None:
    async with publishing(jwk(rsa_key(), kid="old")) as issuer:
        node = Node(redis_server.url, "j", COLLAB_AUTH_JWKS_URL=issuer.url,
                    COLLAB_AUTH_JWKS_INTERVAL="1")  # fmt: skip
        async with running(node):
            text = await js.connect(node.url, auth={"token": signed_by(rsa_key(), "old")})
            assert (await text.change(room, "a"))["ok"]
            issuer.publish(jwk(ec_key(), kid="new"))
            reads = issuer.reads
            await eventually(lambda: issuer.reads > reads)
            shown = {"token": signed_by(ec_key(), "new")}
            seen = await yjs.connect(node.url, room, params=shown)
            await seen.shows("a")
            refused: dict[str, Any] = {
                "unknown_key": signed_by(rsa_key(), "old"),
                "bad_signature": signed_by(ec_key(1), "new"),
                "algorithm_not_allowed": raw({"alg": "HS256"}, claims(), pem(ec_key())),
            }
            for reason, token in refused.items():
                other = await js.connect(node.url, wait=False, auth={"token": token})
                assert (await other.until("connect_error"))["data"]["reason"] == reason
    assert "Traceback" not in node.output() and SECRET not in node.output()
