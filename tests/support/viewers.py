"""A node on which clients whose name begins with "viewer" may only read."""

from __future__ import annotations

import os

from aiohttp import web

from collab.app import create_app
from collab.config import Config
from collab.logs import set_up


def main() -> None:
    config = Config.from_env(os.environ)
    set_up(config.log_level, config.log_format, config.node_id)
    app = create_app(config, may_write=lambda room, member: not member.startswith("viewer"))
    web.run_app(app, host=config.host, port=config.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
