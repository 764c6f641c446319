"""Two users of one locust process in one room, each a whole-text editor without a screen.

They follow only the base contract: they send the whole text on a keystroke, and show each whole
text that arrives. In one process they share a clock, and each can read the other's text.
"""

import logging
import random
import secrets
import time
from argparse import Namespace
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

import gevent
import socketio
from gevent.event import AsyncResult, Event
from locust import task
from locust.contrib.socketio import SocketIOClient, SocketIOUser
from locust.env import Environment

from loadtest.writing import Keystroke, Tally, Typist, first_text

logger = logging.getLogger(__name__)

# A person types some words, looks at the text, and continues.
BURST_KEYSTROKES = (10, 40)
# Keystrokes and pauses vary around their mean; with equal pauses all rooms would type in step.
SPREAD = (0.4, 1.6)

TRANSPORTS = {
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
    "polling": ["polling"],
}
CONNECT_TIMEOUT = 10.0
RETRY_INTERVAL = 1.0
# Servers of the base contract need not acknowledge. A join waits this long for an acknowledgement.
JOIN_ACK_TIMEOUT = 3.0
# Enough to find a lost keystroke in a server's log; the counts include the others.
MAX_LOGGED_LOSSES = 10


class Lost(Exception):
    """A keystroke, or a whole text, is missing."""


class Refused(Exception):
    """The server has sent an `error` event, or a negative acknowledgement."""


class Run:
    """The pairs of this locust process and their counts, in one test run."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.name = secrets.token_hex(3)
        self.pairs: list[Pair] = []
        self.tally = Tally()
        self.closing = False

    def assign_pair(self, member: "Member") -> "Pair":
        if not self.pairs or self.pairs[-1].broken or len(self.pairs[-1].members) == 2:
            self.pairs.append(Pair(f"load-{self.name}-{len(self.pairs)}", len(self.pairs)))
        self.pairs[-1].members.append(member)
        return self.pairs[-1]


class Pair:
    def __init__(self, room: str, number: int) -> None:
        self.room = room
        self.number = number
        self.members: list[Member] = []
        self.complete = Event()
        self.started = Event()
        self.broken = False
        self.turns = (Event(), Event())
        self.turns[0].set()

    def settled(self) -> bool:
        first, second = self.members
        return first.text == second.text and not (first.typist.pending or second.typist.pending)

    def judge(self) -> None:
        """Check after the end of typing that the texts hold all words that were not removed."""
        first, second = self.members
        for member in self.members:
            member.report_overdue(before=time.perf_counter())
            member.report_kept(
                len(member.typist.written), member.typist.erased_from(first.text, second.text)
            )
            reappeared = max(
                member.typist.reappeared_in(text) for text in (first.text, second.text)
            )
            run.tally.reappeared += reappeared
            for _ in range(reappeared):
                member.report("kept", None, Lost("a removed word came back, or a word doubled"))
        diverged = first.text != second.text
        run.tally.diverged += diverged
        first.report("final text", None, Lost("two different texts") if diverged else None)


class WireClient(SocketIOClient):
    def emit(
        self, event: str, data: Any = None, namespace: str | None = None, callback: Any = None
    ) -> None:
        """Emit without locust's row of 0 ms per event, which would hide the times measured here."""
        socketio.Client.emit(self, event, data, namespace, callback)


class Member(SocketIOUser):
    # locust handles SIGINT: engineio would close all connections before the last check.
    options: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # locust sets it on the class too
        "handle_sigint": False,
        "reconnection_delay": RETRY_INTERVAL,
    }

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.sio = WireClient(environment.events.request, **self.options)
        self.settings = cast(Namespace, environment.parsed_options)
        self.pair = run.assign_pair(self)
        self.seat = len(self.pair.members) - 1
        self.typist = Typist(self.seat, self.settings.document_size, self.settings.place == "same")
        self.text = ""
        self.joined = False
        self.acknowledges = True
        self.quiet = Event()
        # No handler may switch to another greenlet: a `receive` takes effect between two packets,
        # and servers may rely on that.
        self.sio.on("connect", self.on_connect)
        self.sio.on("disconnect", self.on_disconnect)
        self.sio.on("receive", self.on_receive)
        self.sio.on("error", self.on_error)
        self.sio.on("*", lambda *_: None)

    @property
    def partner(self) -> "Member":
        return self.pair.members[1 - self.seat]

    def report(
        self, name: str, seconds: float | None, failure: Exception | None = None, length: int = 0
    ) -> None:
        self.environment.events.request.fire(
            request_type="SIO",
            name=name,
            response_time=None if seconds is None else seconds * 1000,
            response_length=length,
            exception=failure,
            context={},
        )

    # Connection

    def on_start(self) -> None:
        self.connect()
        self.join()
        if len(self.pair.members) == 2 and self.partner.joined:
            self.pair.complete.set()
        self.pair.complete.wait()
        if self.seat == 0:
            while not self.sio.connected:
                gevent.sleep(RETRY_INTERVAL)
            run.tally.rooms += 1
            self.press_key()
            self.await_delivery()
            self.pair.started.set()
        self.pair.started.wait()

    def on_stop(self) -> None:
        self.pair.broken = True
        self.sio.shutdown()

    def connect(self) -> None:
        nodes = self.settings.nodes.split(",") if self.settings.nodes else [self.host]
        url = str(nodes[(self.pair.number + self.seat) % len(nodes)])
        if not self.settings.no_room_in_query:
            url += "?" + urlencode({"room": self.pair.room})
        while True:
            try:
                self.sio.connect(
                    url,
                    auth={"name": f"{self.pair.room}-{self.typist.sign}"},
                    transports=TRANSPORTS[self.settings.transport],
                    wait_timeout=CONNECT_TIMEOUT,
                )
                return
            except socketio.exceptions.ConnectionError:
                gevent.sleep(RETRY_INTERVAL)

    def join(self) -> None:
        """Join, and wait for the acknowledgement if the server sends one."""
        while not self.joined:
            asked = time.perf_counter()
            try:
                refusal = refusal_in(self.send_join())
                self.report("join", time.perf_counter() - asked, refusal)
                self.joined = refusal is None
            except gevent.Timeout:
                self.acknowledges = False
                self.joined = True
            except socketio.exceptions.BadNamespaceError as cut:
                self.report("join", time.perf_counter() - asked, cut)
            if not self.joined:
                gevent.sleep(RETRY_INTERVAL)

    def send_join(self) -> tuple[Any, ...]:
        answer: AsyncResult[tuple[Any, ...]] = AsyncResult()
        self.sio.emit("join", {"room": self.pair.room}, callback=lambda *args: answer.set(args))
        verdict: tuple[Any, ...] = answer.get(timeout=JOIN_ACK_TIMEOUT)
        return verdict

    def on_connect(self) -> None:
        """After a reconnect, send the text if some of it may be missing there, then join again."""
        if self.joined:
            if self.typist.pending:
                self.send_text()
            self.sio.emit("join", {"room": self.pair.room})

    def on_disconnect(self, reason: str) -> None:
        if not (run.closing or self.pair.broken):
            run.tally.disconnects += 1
            self.report("connection", None, ConnectionError(reason))

    # Typing

    @task
    def type_burst(self) -> None:
        in_turns = self.settings.mode == "turns"
        if in_turns:
            self.pair.turns[self.seat].wait()
            self.pair.turns[self.seat].clear()
        gevent.sleep(self.settings.think_time * random.uniform(*SPREAD))
        self.tidy()
        for _ in range(random.randint(*BURST_KEYSTROKES)):
            pause = random.uniform(*SPREAD) / self.settings.typing_rate
            due = time.perf_counter() + pause
            gevent.sleep(pause)
            if not self.can_type():
                break
            self.report("own lateness", max(0.0, time.perf_counter() - due))
            self.press_key()
        if in_turns:
            self.await_delivery()
            self.pair.turns[1 - self.seat].set()

    def can_type(self) -> bool:
        """Whether to type: not at the end of a run, without a partner, or while offline."""
        return self.sio.connected and not (run.closing or self.pair.broken)

    def press_key(self) -> None:
        """Type one word. Nothing here yields, so the sent text is the text on the screen."""
        now = time.perf_counter()
        self.report_overdue(before=now - self.settings.loss_timeout)
        text = self.text or first_text(self.settings.document_size)
        self.text = self.typist.write(text, now)
        self.quiet.clear()
        run.tally.typed += 1
        self.send_text()

    def tidy(self) -> None:
        """Keep the document at its size: remove own words that have arrived long ago."""
        if not self.can_type():
            return
        before = time.perf_counter() - self.settings.loss_timeout
        self.report_overdue(before)
        written = len(self.typist.written)
        text, erased = self.typist.tidy(self.text, before)
        self.report_kept(written - len(self.typist.written), erased)
        if text != self.text:
            self.text = text
            self.send_text()

    def send_text(self) -> None:
        sent = time.perf_counter()

        def acknowledged(*answer: Any) -> None:
            refusal = refusal_in(answer)
            run.tally.acknowledged += refusal is None
            self.report("change ack", time.perf_counter() - sent, refusal)

        run.tally.changes += 1
        self.sio.emit(
            "change",
            {"room": self.pair.room, "code": self.text},
            callback=acknowledged if self.acknowledges else None,
        )

    def await_delivery(self) -> None:
        timeout = self.settings.loss_timeout
        if self.typist.pending and not self.quiet.wait(timeout):
            self.report_overdue(before=time.perf_counter() - timeout)

    # Delivery and loss

    def on_receive(self, message: dict[str, Any]) -> None:
        self.text = message["code"]
        if len(self.pair.members) == 2:
            self.partner.handle_delivery(self.text)

    def handle_delivery(self, text: str) -> None:
        now = time.perf_counter()
        for stroke in self.typist.seen_in(text):
            self.report("delivery", now - stroke.at, length=len(text))
        if not self.typist.pending:
            self.quiet.set()

    def on_error(self, message: Any) -> None:
        self.report("error event", None, refusal_in((message,)) or Refused(repr(message)))

    def report_overdue(self, before: float) -> None:
        now = time.perf_counter()
        for stroke in self.typist.overdue(before):
            run.tally.undelivered += 1
            self.log_loss(stroke, "not delivered")
            failure = Lost("not on the partner's screen in time")
            self.report("delivery", now - stroke.at, failure)

    def report_kept(self, checked: int, erased: list[Keystroke]) -> None:
        """Report one row per word that was checked; each erased word is a failure."""
        for stroke in erased:
            run.tally.erased += 1
            self.log_loss(stroke, "erased")
            self.report("kept", None, Lost("delivered, then gone from the text"))
        for _ in range(checked - len(erased)):
            self.report("kept", None)

    def log_loss(self, stroke: Keystroke, how: str) -> None:
        if run.tally.lost <= MAX_LOGGED_LOSSES:
            ago = time.perf_counter() - stroke.at
            logger.warning("%s: %s %s, typed %.1fs ago", self.pair.room, stroke.word[:-1], how, ago)


def refusal_in(answer: tuple[Any, ...]) -> Refused | None:
    """Return the error in an acknowledgement or `error` event; None if there is none."""
    verdict = answer[0] if answer else None
    if not isinstance(verdict, dict) or verdict.get("ok", "message" not in verdict):
        return None
    error = verdict.get("error", verdict)
    return Refused(error.get("code") or error.get("message") if isinstance(error, dict) else error)


run = Run()
