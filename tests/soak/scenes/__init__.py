"""The scenes: one failure after another of the links, Redis or the nodes while people type."""

from __future__ import annotations

from tests.soak.scenes import links, nodes, redis
from tests.soak.stage import Scene

SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        links.cuts,
        redis.redis_paused, redis.redis_frozen, redis.redis_killed, redis.redis_emptied,
        redis.redis_older, redis.redis_slow, redis.redis_full,
        nodes.restarts, nodes.node_killed, nodes.node_frozen, nodes.node_refused,
        nodes.node_cut_off, nodes.node_parted, nodes.scale,
    )
}  # fmt: skip
