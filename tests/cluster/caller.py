"""A caller of the HTTP API, who checks each answer against the contract."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from jsonschema_rs import Draft202012Validator

from tests.support.processes import ROOT, Node

CONTRACT = json.loads((ROOT / "collab" / "http" / "openapi.json").read_text())
KEY = "open sesame"


class Caller:
    """Another service, that talks to one node."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url + "/api"

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self._session.request(method, self._url + path, **options) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if body else None

    async def get(self, room: str) -> Any:
        status, told = await self.ask("GET", f"/rooms/{room}")
        assert status == 200, told
        matches("Room", told)
        return told

    async def put(self, room: str, code: str, **fields: Any) -> Any:
        status, told = await self.ask("PUT", f"/rooms/{room}", json={"code": code, **fields})
        assert status in (200, 201), told
        return told

    async def history(self, room: str, form: str = "deltas", after: str = "") -> list[Any]:
        path = f"{self._url}/rooms/{room}/history?format={form}" + (after and f"&after={after}")
        async with self._session.get(path) as answer:
            assert answer.status == 200
            lines = [json.loads(line) async for line in answer.content]
        kind = form.removesuffix("s").capitalize()
        matches(f"{kind}sHead", lines[0])
        assert lines[0]["entries"] == len(lines) - 1
        for line in lines[1:]:
            matches(f"{kind}Entry", line)
        return lines


def matches(schema: str, value: Any) -> None:
    """Assert that ``value`` is what the contract says."""
    whole = {**CONTRACT, "$ref": f"#/components/schemas/{schema}"}
    Draft202012Validator(whole).validate(value)


def played(lines: list[Any], before: str = "") -> str:
    """Play a history forward as a client in JavaScript would: a text is its UTF-16 units.

    ``before`` is the text at the entry after which the history was asked for.
    """
    text: bytes = lines[0].get("base", before).encode("utf-16-le")
    for line in lines[1:]:
        out, position = b"", 0
        for step in line["delta"]:
            if "insert" in step:
                out += step["insert"].encode("utf-16-le")
            elif "retain" in step:
                out += text[position : position + 2 * step["retain"]]
                position += 2 * step["retain"]
            else:
                position += 2 * step["delete"]
        text = out + text[position:]
    return text.decode("utf-16-le")


@asynccontextmanager
async def calling(*nodes: Node) -> AsyncIterator[list[Caller]]:
    async with aiohttp.ClientSession() as session:
        yield [Caller(session, node.url) for node in nodes]
