"""The command line: ``python -m collab``, ``python server.py`` and ``collab``."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from signal import SIGINT, SIGTERM

import uvloop
from aiohttp import web

from collab import __version__, doctor, logs
from collab.app import NodeRunner
from collab.config import Config
from collab.errors import CollabError, ConfigError
from collab.setting_warnings import secret_options, warn_of_unknown_variables
from collab.settings import option_name, variables

log = logging.getLogger(__name__)

EXIT_FAILED = 1
"""The service could not start, or could not go on: a used port, a Redis that is down."""
EXIT_USAGE = 2
"""The command line or a variable is invalid: an unknown option, a bad value."""
STOP_SIGNALS = (SIGINT, SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collab",
        description="The Collaboration Service: live code rooms over Socket.IO.",
        epilog="Each option also has an environment variable; the option overrides the variable. "
        "`collab doctor --help` says how to check and mend rooms in Redis.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"collab {__version__}")
    for setting in fields(Config):
        about = setting.metadata["about"]
        shown = setting.default if setting.default != "" else "none"
        variable, *files = variables(setting)
        parser.add_argument(
            option_name(variable),
            dest=variable,
            metavar="VALUE",
            help=f"{about} [{variable}, default: {shown}]".replace("%", "%%"),
        )
        for file in files:
            parser.add_argument(
                option_name(file),
                dest=file,
                metavar="PATH",
                help=f"file with the value of {option_name(variable)} [{file}]",
            )
    return parser


async def _serve(config: Config) -> None:
    """Run the service until a signal cancels this task."""
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving is not None

    def stop() -> None:
        if not serving.cancelling():  # a second signal must not interrupt the shutdown
            serving.cancel()

    for signal in STOP_SIGNALS:
        loop.add_signal_handler(signal, stop)
    runner = NodeRunner(config)
    try:
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port, backlog=config.backlog).start()
        logs.log_ready(runner.addresses)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal stops it, or the doctor; return the process' exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["doctor"]:
        return doctor.main(words[1:])
    given = {key: value for key, value in vars(_parser().parse_args(words)).items() if value}
    try:
        config = Config.from_env(os.environ, given)
    except ConfigError as problem:
        print(f"collab: {problem}", file=sys.stderr)
        return EXIT_USAGE
    logs.set_up(config.log_level, config.log_format, config.node_id)
    warn_of_unknown_variables(os.environ)
    for option, file in secret_options(given):
        log.warning(
            "a secret on the command line can be read by everybody on this machine: use a file",
            extra={"option": option, "instead": file},
        )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 0
    except CollabError as problem:
        print(f"collab: {problem}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as problem:
        what = "is taken" if problem.errno == errno.EADDRINUSE else f"can't be used: {problem}"
        print(f"collab: {config.host} port {config.port} {what}", file=sys.stderr)
        return EXIT_FAILED
    return 0
