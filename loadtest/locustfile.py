"""Load test of collaborative editing: how fast a keystroke arrives, and whether any is lost.

This module has the options, the final result and the exit code; `pairs.py` has the users, and
`writing.py` the texts that they write. README.md says how to run the test and how to read its
results.
"""

import time
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.pairs import TRANSPORTS, Member, run
from loadtest.writing import Tally

# Locust runs the user classes that it finds in this module.
__all__ = ["Member"]

SETTLE_INTERVAL = 0.1


def positive(value: str) -> float:
    number = float(value)
    if number <= 0:
        raise ArgumentTypeError("must be more than 0")
    return number


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("Collaborative editing").add_argument
    add(
        "--nodes", default="", help="URLs with commas; the two members of a room use different ones"
    )
    add("--mode", choices=("turns", "both"), default="turns", help="who types (default: turns)")
    add("--place", choices=("own", "same"), default="own", help="where they type (default: own)")
    add("--typing-rate", type=positive, default=5.0, help="keystrokes per second while typing")
    add("--think-time", type=positive, default=2.0, help="mean seconds before a burst of typing")
    add("--document-size", type=int, default=2000, help="characters a text grows to, about")
    add(
        "--loss-timeout", type=positive, default=5.0, help="seconds after which a keystroke is lost"
    )
    add("--transport", choices=tuple(TRANSPORTS), default="websocket", help="default: websocket")
    add("--no-room-in-query", action="store_true", help="leave ?room= out of the connection's URL")


@events.init.add_listener
def collect_tallies(environment: Environment, **_: Any) -> None:
    def add_tally(msg: Any, **_: Any) -> None:
        run.tally.add(Tally(**msg.data))

    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("tally", add_tally)
    if not isinstance(environment.runner, WorkerRunner):
        environment.events.quit.add_listener(print_summary)


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    if not (environment.host or getattr(environment.parsed_options, "nodes", "")):
        raise SystemExit("name a server: --host URL, or --nodes URL,URL")
    run.reset()


@events.test_stopping.add_listener
def settle(environment: Environment, **_: Any) -> None:
    """Stop typing while all users are connected, wait for the last texts, and check all rooms."""
    if run.closing or environment.parsed_options is None:
        return
    run.closing = True
    run.tally.unpaired = sum(len(pair.members) == 1 for pair in run.pairs)
    pairs = [pair for pair in run.pairs if pair.started.is_set() and not pair.broken]
    deadline = time.perf_counter() + environment.parsed_options.loss_timeout
    while not all(pair.settled() for pair in pairs) and time.perf_counter() < deadline:
        gevent.sleep(SETTLE_INTERVAL)
    for pair in pairs:
        pair.judge()
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message("tally", asdict(run.tally))


@events.quitting.add_listener
def decide_exit_code(environment: Environment, **_: Any) -> None:
    # After Ctrl-C the users still run here, and locust is about to read the exit code.
    if environment.runner is not None:
        environment.runner.stop()
    if not run.tally.clean:
        environment.process_exit_code = 1


def print_summary(**_: Any) -> None:
    tally = run.tally
    print(
        f"\nlost {tally.lost} of {tally.typed} keystrokes in {tally.rooms} rooms\n"
        f"  never on the partner's screen in time   {tally.undelivered}\n"
        f"  delivered, then gone from the text      {tally.erased}\n"
        f"removed words that came back, or doubled  {tally.reappeared}\n"
        f"rooms that ended on two different texts   {tally.diverged}\n"
        f"changes sent / acknowledged               {tally.changes} / {tally.acknowledged}\n"
        f"connections cut                           {tally.disconnects}\n"
        f"users without a partner, who never typed  {tally.unpaired}"
    )
