"""A node on which a token is a person's name, and people called "viewer …" may only read."""

from __future__ import annotations

import os

from aiohttp import web

from collab.access.hook import Bearer, Refusal
from collab.app import create_app
from collab.config import Config
from collab.logs import set_up
from collab.rooms.identity import Role


async def authorize(token: str, room: str | None) -> Bearer | Refusal:
    """Let in all who have a name."""
    role = Role.VIEWER if token.startswith("viewer") else Role.EDITOR
    return Bearer(subject=token, name=token, role=role)


def main() -> None:
    config = Config.from_env(os.environ)
    set_up(config.log_level, config.log_format, config.node_id)
    app = create_app(config, authorize=authorize)
    web.run_app(app, host=config.host, port=config.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
