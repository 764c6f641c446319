"""The command line: ``python -m collab``, ``python server.py`` and ``collab``."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

import uvloop
from aiohttp import web

from collab import __version__, logs
from collab.app import create_app
from collab.config import Config
from collab.errors import CollabError, ConfigError

EXIT_FAILED = 1
"""The service could not start or go on: a taken port, a Redis that is down."""
EXIT_USAGE = 2
"""It was told to do something it can't: an unknown option, a bad value."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collab",
        description="The Collaboration Service: live code rooms over Socket.IO.",
        epilog="Each option can be set by the variable named with it; the option wins.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"collab {__version__}")
    for setting in fields(Config):
        variable, about = setting.metadata["variable"], setting.metadata["about"]
        shown = setting.default if setting.default != "" else "none"
        parser.add_argument(
            "--" + setting.name.replace("_", "-"),
            dest=variable,
            metavar="VALUE",
            help=f"{about} [{variable}, default: {shown}]".replace("%", "%%"),
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until it is told to stop; return the process's exit code."""
    given = {key: value for key, value in vars(_parser().parse_args(arguments)).items() if value}
    try:
        config = Config.from_env({**os.environ, **given})
    except ConfigError as problem:
        print(f"collab: {problem}", file=sys.stderr)
        return EXIT_USAGE
    logs.set_up(config.log_level, config.log_format)
    loop = uvloop.new_event_loop()
    try:
        web.run_app(
            create_app(config),
            host=config.host,
            port=config.port,
            print=None,
            access_log=None,
            shutdown_timeout=config.drain_time,
            loop=loop,
        )
    except CollabError as problem:
        print(f"collab: {problem}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as problem:
        what = "is taken" if problem.errno == errno.EADDRINUSE else f"can't be used: {problem}"
        print(f"collab: {config.host} port {config.port} {what}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        asyncio.set_event_loop(None)
    return 0
