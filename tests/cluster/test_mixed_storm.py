"""The storm with half of the members on each door: nothing lost, nothing risen, one text."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis.asyncio

from tests.support.processes import ROOT, Node, tool
from tests.support.proxy import proxy

SECONDS, DELAY = 8.0, 0.04
DOORS = ("text", "yjs", "text", "yjs")


async def let_type(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the typists of a plan and return what each of them did and shows."""
    script = str(ROOT / "tests" / "js" / "mixed.mjs")
    node = await asyncio.create_subprocess_exec(
        tool("node"), script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await node.communicate(json.dumps(plan).encode())
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    members: list[dict[str, Any]] = json.loads(out.splitlines()[-1])["members"]
    return members


@pytest.mark.parametrize("seed", [1])
async def test_members_of_both_doors_type_at_once_on_two_nodes_and_nothing_is_lost(
    nodes: tuple[Node, Node], store: redis.asyncio.Redis, room: str, seed: int
) -> None:
    rooms = [f"{room[:60]}-{seed}-{i}" for i in range(2)]
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(proxy(node.port, DELAY)) for node in nodes]
        members = await let_type({
            "seconds": SECONDS,
            "seed": seed,
            "members": [
                {"room": name, "door": door, "url": f"http://127.0.0.1:{wires[i // 2].port}"}
                for name in rooms for i, door in enumerate(DOORS)
            ],
        })  # fmt: skip
    assert not [member["faults"] for member in members if member["faults"]]
    assert sum(member["changes"] for member in members) > 200
    for name in rooms:
        here = [member for member in members if member["room"] == name]
        code = (await store.get(f"code_{name}")).decode()
        texts = {member["door"]: member["text"] for member in here}
        assert {member["text"] for member in here} == {code}, texts
        inserted = {c for member in here for c in member["inserted"]}
        deleted = {c for member in here for c in member["deleted"]}
        assert not inserted - deleted - set(code), "lost"
        assert not set(code) & deleted, "risen"
        assert max(Counter(code).values()) == 1, "doubled"
