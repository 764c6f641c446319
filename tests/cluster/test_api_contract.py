"""The OpenAPI document is true, and says all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collab.app import create_app
from collab.config import Config
from tests.cluster.caller import CONTRACT, KEY
from tests.support.processes import ROOT, Node, Redis, running


def test_every_answer_is_a_named_schema_that_forbids_what_it_does_not_name() -> None:
    schemas = CONTRACT["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema["title"] == name, name
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, name
        inner = [*schema.get("properties", {}).values(), schema.get("items", {})]
        inner = [part for part in inner if part is not True]
        for part in [*inner, *(each.get("items", {}) for each in inner), *schema.get("oneOf", ())]:
            assert part.get("type") != "object", f"{name} has an object without a name"
    for answer in _answers(CONTRACT):
        for kind, content in answer.get("content", {}).items():
            assert "$ref" in content["schema"] or kind == "application/x-ndjson", answer


def _answers(contract: Any) -> Iterator[Any]:
    yield from contract["components"]["responses"].values()
    for item in contract["paths"].values():
        for method, operation in item.items():
            if method != "parameters":
                yield from operation["responses"].values()


def test_every_route_below_api_is_in_the_contract_and_nothing_else() -> None:
    app = create_app(Config.from_env({}))
    served = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api")
    }
    told = {
        ("/api" + path, method)
        for path, item in CONTRACT["paths"].items()
        for method in item
        if method != "parameters"
    }
    page = {("/api/docs", "get"), ("/api/docs/{name}", "get")}
    asked_by_browsers = ("head", "options")  # a preflight, before a page sends a token
    assert {route for route in served if route[1] not in asked_by_browsers} == told | page


async def test_the_service_keeps_its_contract(redis_server: Redis, tmp_path: Path) -> None:
    node = Node(redis_server.url, "contract", COLLAB_API_KEY=KEY)
    async with running(node):
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(ROOT / "tests" / "cluster" / "schemathesis.toml"),
            "run", f"{node.url}/api/openapi.json", "--url", f"{node.url}/api",
            "--header", f"Authorization: Bearer {KEY}", "--max-examples", "20", "--seed", "1",
            "--generation-database", "none", "--max-failures", "5",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
    assert '"level":"error"' not in node.output()
