"""The simulator's pages and links. Like real pages, they do no merging."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from collab.merge.delta import Delta

if TYPE_CHECKING:
    from .simulator import Session, World

PING, RECEIVE, PONG, ACK = "ping", "receive", "pong", "ack"
JOIN, LEAVE, CHANGE = "join", "leave", "change"


class Link:
    """Delivers packets in order, each after its own delay, until the link breaks."""

    def __init__(self, world: World, deliver: Callable[[str, str], None], delay: float) -> None:
        self.world, self.deliver, self.delay = world, deliver, delay
        self.last = self.wrote = -1.0
        self.shortest = delay * (1 - world.setting.jitter)
        self.broken = False
        self.under_way: list[tuple[str, str]] = []

    def send(self, kind: str, text: str = "") -> None:
        world = self.world
        # Packets that are written together mostly arrive together.
        if world.now != self.wrote or world.random.random() < world.setting.torn:
            delay = self.shortest + world.random.random() * (self.delay - self.shortest)
            self.last = max(self.last, world.now + delay)
        self.wrote = world.now
        packet = (kind, text)
        self.under_way.append(packet)
        world.at(self.last, lambda: self._arrive(packet))

    def _arrive(self, packet: tuple[str, str]) -> None:
        if not self.broken:
            self.under_way.remove(packet)
            self.deliver(*packet)


class Page:
    """A whole-text editor with a person in front of it.

    ``late`` is the maximal time, in seconds, until it shows a receive: a key pressed before changes
    the old text, and the page keeps the result (as in React, which applies the later of two states
    last). A page that ``asks`` for acknowledgements may also ``keep`` each change back until the
    previous one is acknowledged.
    """

    def __init__(
        self, world: World, *, asks: bool, keeps: bool, echoes: bool, late: float, delay: float
    ) -> None:
        self.world, self.echoes, self.late, self.delay = world, echoes, late, delay
        self.asks, self.keeps = asks, keeps
        self.text = ""
        self.history: list[str] = []
        self.received = self.sent = 0
        self.up: Link | None = None
        self.session: Session
        self.kept: list[tuple[str, str]] = []
        self.queue: deque[tuple[str, str]] = deque()
        self.caret = 0
        self._to_show: str | None = None
        self._touched: dict[str, tuple[set[str], set[str]]] = {}
        self._at_risk: set[str] = set()

    def deliver(self, kind: str, text: str) -> None:
        assert self.up is not None
        if kind == PING:
            self.up.send(PONG)
            return
        if kind == ACK:
            if self.keeps:
                self.queue.popleft()
                self._send_first()
            return
        self.received += 1
        self._to_show = text
        if self.late:
            self.world.after(self.world.random.random() * self.late, self._show)
        else:
            self._show()

    def _show(self) -> None:
        if self._to_show is None:
            return
        self._lose_at_risk()
        self.text, self._to_show = self._to_show, None
        if self.echoes:
            self._send(self.text)

    def edit(self) -> None:
        """Let the person edit the text on the screen."""
        self.enter(self.world.people.edit(self))

    def enter(self, text: str) -> None:
        """Let the person replace the text on the screen by ``text``."""
        if text == self.text:
            return
        if self.world.setting.unique:
            before, after = set(self.text), set(text)
            self.world.typed |= after - before
            self.world.deleted |= before - after
            self._touched[text] = before - after, after - before
        self.history.append(self.text)
        self.text = text
        self._to_show = None
        self.sent += 1
        self._send(text)

    def _send(self, text: str) -> None:
        self._at_risk.clear()
        self._send_or_keep(CHANGE, text)

    def _send_or_keep(self, kind: str, text: str) -> None:
        if self.keeps:
            self.queue.append((kind, text))  # as socket.io-client does with `retries`
            if len(self.queue) == 1:
                self._send_first()
        elif self.up is None:
            self.kept.append((kind, text))  # as socket.io-client does
        else:
            self.up.send(kind, text)

    def _send_first(self) -> None:
        if self.queue and self.up is not None:
            self.up.send(*self.queue[0])

    def mount(self) -> None:
        """Mount again, blank, on the same connection."""
        if self.world.random.random() < 0.5:
            self._send_or_keep(LEAVE, "")
        self._lose_at_risk()
        self.text, self._to_show = "", None
        self._send_or_keep(JOIN, "")

    def disconnect(self) -> None:
        """Lose the connection, and all that is on its way in either direction.

        An edit that the page sent in vain is still on its screen, and in the next text that it
        sends; unless a receive overwrites the screen before that, or has done so already. No node
        can avoid that loss.
        """
        if self.up is None:
            return
        self.up.broken = True
        shown = set(self.text)
        for kind, text in self.up.under_way:
            if kind == CHANGE and text in self._touched:
                deleted, typed = self._touched[text]
                self._at_risk |= deleted | typed
                self.world.unavoidable |= deleted & shown | typed - shown
        self.up = None

    def _lose_at_risk(self) -> None:
        self.world.unavoidable |= self._at_risk
        self._at_risk.clear()

    def reconnect(self, up: Link) -> None:
        """Get a new connection: the page sends its kept events before it receives anything."""
        self.up = up
        kept, self.kept = self.kept, []
        for kind, text in kept:
            up.send(kind, text)
        self._send_first()


class YjsPage:
    """An editor with a copy of the document."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.replica = world.replica()
        self.send: Callable[[bytes], None]

    @property
    def text(self) -> str:
        return self.replica.text

    def receive(self, update: bytes) -> None:
        self.replica.apply_update(update)

    def edit(self) -> None:
        """Type a letter, or delete a few."""
        random, text = self.world.random, self.replica.text
        at = random.randint(0, len(text))
        if random.random() < 0.7 or not text:
            letter = self.world.people.letter()
            self.world.typed.add(letter)
            self.send(self.replica.edit(Delta.of(at, letter)))
            return
        deleted = text[at : at + random.randint(1, 2)]
        if deleted:
            self.world.deleted |= set(deleted)
            self.send(self.replica.edit(Delta.of(at, -len(deleted))))
