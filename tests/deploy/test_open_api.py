"""A node that is open to all says so in one warning line, however it was started."""

from __future__ import annotations

import sys

import pytest

from tests.support.processes import ROOT, Node, Redis, running
from tests.support.tokens import SECRET

GUNICORN = ("-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"))
WARNING = '"level":"warning"'


@pytest.mark.parametrize("started", [("-m", "collab"), GUNICORN], ids=["collab", "gunicorn"])
@pytest.mark.parametrize(
    ("host", "settings", "warnings"),
    [
        ("0.0.0.0", {}, 1),
        ("127.0.0.1", {}, 1),
        ("0.0.0.0", {"COLLAB_API_KEY": "a key"}, 0),
        ("0.0.0.0", {"COLLAB_AUTH_SECRET": SECRET}, 0),
    ],
)
async def test_a_node_without_any_key_warns_that_it_is_open(
    redis_server: Redis,
    started: tuple[str, ...],
    host: str,
    settings: dict[str, str],
    warnings: int,
) -> None:
    node = Node(redis_server.url, COLLAB_HOST=host, **settings)
    node.command = (sys.executable, *started)
    async with running(node):
        pass
    warned = [line for line in node.output().splitlines() if WARNING in line]
    assert len(warned) == warnings, node.output()
    for line in warned:
        assert "COLLAB_AUTH_" in line and "COLLAB_API_KEY" in line and f'"host":"{host}"' in line
