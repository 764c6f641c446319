"""A small world that tests the merge core: naive pages, slow links, nodes and one journal.

All decisions are made by the code that runs in production: `TextPeer` decides what a page may be
showing, and which receive it gets when; `Turns` which changes may have waited; `Gate` which Yjs
updates are applied; `Replica` merges. The world simulates the rest: time, links, people. All
randomness comes from one seed. The world records which characters were typed and deleted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from collab.merge.delta import Delta, compose
from collab.merge.gate import Gate
from collab.merge.lateness import Habit
from collab.merge.limits import Limits
from collab.merge.pings import OnPong, Pings
from collab.merge.replica import Replica
from collab.merge.text_peer import TextPeer
from collab.merge.turns import Turns
from collab.merge.views import Views

from .pages import ACK, CHANGE, JOIN, LEAVE, PING, PONG, RECEIVE, Link, Page, YjsPage
from .people import People

LIMITS = Limits(text_bytes=1 << 20, document_bytes=1 << 24)


@dataclass(frozen=True)
class Setting:
    """The setting of a world: sizes, delays in seconds, and how people and their pages behave.

    ``late`` is the share of pages that show a receive up to ``lateness`` seconds later. ``mounts``,
    ``breaks`` and ``drains`` are the shares of edits at which a page mounts again, loses its
    connection and reconnects to any node, or is drained by its node. ``torn`` is the share of
    packets written together that arrive apart. ``asks`` is the share of pages that ask for
    acknowledgements, ``keeps`` the share of those pages that send a change only after the previous
    one was acknowledged.
    """

    nodes: int = 1
    clients: int = 3
    typists: int | None = None
    yjs: int = 0
    edits: int = 40
    delay: float = 0.2
    jitter: float = 1.0
    typing: bool = False
    pause: float = 0.1
    unique: bool = True
    echoes: float = 0.0
    late: float = 0.0
    lateness: float = 0.016
    mounts: float = 0.0
    breaks: float = 0.0
    drains: float = 0.0
    alphabet: str = "ab \n"
    start: str = ""
    heartbeat: float = 1.0
    resets: bool = False
    torn: float = 0.02
    asks: float = 0.0
    keeps: float = 0.0


class Session:
    """A text member's connection at its node."""

    peer: TextPeer

    def __init__(self, node: Node, page: Page, down: Link) -> None:
        self.node, self.page, self.down = node, page, down
        self.flushing = False
        self.joined = True
        self.pings = Pings()
        self.turns = Turns(node.world.clock, self.ping, lambda: self.peer.handle_idle())

    def ping(self, pong: OnPong | None) -> None:
        self.pings.add(pong)
        self.down.send(PING)

    def acknowledge(self) -> None:
        if self.page.asks and not self.down.broken:
            pong = self.turns.before_acknowledgement()
            if pong is not None:
                self.ping(pong)
            self.down.send(ACK)

    def deliver(self, kind: str, text: str) -> None:
        world = self.node.world
        if kind == PONG:
            self.pings.handle_pong()
            self.node.check()
            return
        turn = self.turns.handle_event()
        self.joined = kind != LEAVE  # a change joins
        if kind == JOIN:
            self.peer.mount(owed=True)
        elif kind == CHANGE:
            outcome = self.peer.change(text, turn)
            world.changes += 1
            world.guesses += outcome.guessed
            world.late += outcome.late
            if not outcome.delta.is_identity:
                self.node.apply_edit(outcome.delta, self)
            assert outcome.needs_receive == (self.peer.final_text != self.node.replica.text)
        self.node.check()
        if kind == CHANGE and not outcome.delta.is_identity:
            world.at(self.node.committed_at, self.acknowledge)  # when the journal has it
        else:
            self.acknowledge()

    def receive_due(self) -> None:
        if not self.flushing:
            self.flushing = True
            world = self.node.world
            world.after(world.setting.delay / 10, self.write)

    def receive_due_to_reader(self) -> None:
        self.receive_due()

    def receive_due_in(self, seconds: float) -> None:
        self.node.world.after(seconds, self.receive_due)

    def write(self) -> None:
        self.flushing = False
        if self.down.broken or not self.joined:
            return
        receive = self.peer.next_receive(self.node.replica.text)
        if receive is not None:
            self.ping(receive.before)
            self.down.send(RECEIVE, receive.text)
            self.ping(receive.behind)
            self.node.check()


class Node:
    """A replica and its members. The journal's updates are delivered to it in order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.replica = world.replica()
        self.gate = Gate(self.replica, LIMITS)
        self.sessions: list[Session] = []
        self.yjs: list[tuple[YjsPage, Link]] = []
        self.delivered_at = self.committed_at = 0.0
        self.applied = 0
        self.pending = 0

    def apply_edit(self, delta: Delta, by: Session) -> None:
        """Apply a text member's edit."""
        update = self.replica.edit(delta)
        self.advance_peers(delta, besides=by)
        self.send_to_yjs(update)
        self.commit(update)

    def apply_update(self, update: bytes, by: YjsPage) -> None:
        """Apply a Yjs member's update."""
        edit, repair = self.gate.admit(update)
        assert repair is None
        self.advance_peers(edit.delta)
        self.send_to_yjs(update, besides=by)
        self.commit(update)
        self.check()

    def advance_peers(self, delta: Delta, besides: Session | None = None) -> None:
        if not delta.is_identity:
            for session in self.sessions:
                if session is not besides:
                    session.peer.advance(delta)

    def send_to_yjs(self, update: bytes, besides: YjsPage | None = None) -> None:
        for page, link in self.yjs:
            if page is not besides:
                link.send("update", update.hex())

    def commit(self, update: bytes) -> None:
        world = self.world
        self.pending += 1
        self.committed_at = max(
            self.committed_at, world.now + world.random.random() * world.setting.delay
        )
        world.at(self.committed_at, lambda: world.append(self, update))

    def receive(self, update: bytes, by: Node) -> None:
        self.applied += 1
        if by is self:
            self.pending -= 1
            return
        self.advance_peers(self.replica.apply_update(update).delta)
        self.send_to_yjs(update)
        self.check()

    def check(self) -> None:
        for session in self.sessions:
            session.peer.check(self.replica.text)


class World:
    """All nodes and pages, the clock, and the journal."""

    def __init__(self, seed: int, setting: Setting, habit: Habit | None = None) -> None:
        self.random, self.setting = Random(seed), setting
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.typed: set[str] = set(setting.start)
        self.deleted: set[str] = set()
        self.unavoidable: set[str] = set()
        self.changes = self.guesses = self.late = self.returns = 0
        self.people = People(self.random, setting)
        self.habit = habit or Habit()
        self.journal: list[bytes] = []
        self.nodes = [Node(self) for _ in range(setting.nodes)]
        first = self.replica()
        start = first.edit(Delta.of(setting.start))
        self.journal.append(start)
        for node in self.nodes:
            node.replica.apply_update(start)
            node.applied = 1
        self.pages: list[Page] = []
        self.yjs: list[YjsPage] = []
        for index in range(setting.clients):
            self.open_page(self.nodes[index % setting.nodes])
        for index in range(setting.yjs):
            self.open_yjs(self.nodes[index % setting.nodes])

    def replica(self) -> Replica:
        return Replica(self.random.getrandbits(32))

    def clock(self) -> float:
        return self.now

    def at(self, time: float, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do ``action`` in ``seconds``; actions that are due at the same time keep their order."""
        self.at(self.now + seconds, action)

    def open_page(self, node: Node) -> None:
        """Open a page, and schedule all that will happen to it."""
        setting, random = self.setting, self.random
        asks = setting.asks > 0 and random.random() < setting.asks
        page = Page(
            self,
            asks=asks,
            keeps=asks and random.random() < setting.keeps,
            echoes=random.random() < setting.echoes,
            late=setting.lateness if random.random() < setting.late else 0.0,
            delay=setting.delay * (1 if setting.typing else random.choice((0.05, 0.5, 1.0, 3.0))),
        )
        session = self.connect(page, node)
        session.peer = TextPeer.blank(node.replica.text, self.habit, session, self.clock)
        self.pages.append(page)
        typists = setting.clients if setting.typists is None else setting.typists
        time = 0.0 if setting.typists is None else setting.delay * 8
        for _ in range(setting.edits if len(self.pages) <= typists else 0):
            # Mostly fast typing, sometimes a long pause.
            time += random.random() * setting.pause * (30 if random.random() < 0.05 else 1)
            self.at(time, page.edit)
            if random.random() < setting.mounts:
                self.at(time, page.mount)
            if random.random() < setting.breaks:
                self.at(time, lambda: self.disconnect(page))
            if random.random() < setting.drains:
                self.at(time, lambda: self.drain(page))
        for beat in range(int(time / setting.heartbeat) + 1):
            at = (beat + random.random()) * setting.heartbeat
            self.at(at, lambda: page.session.ping(None) if page.up else None)

    def connect(self, page: Page, node: Node) -> Session:
        """Give a page a connection to a node."""
        session = Session(node, page, Link(self, page.deliver, page.delay))
        page.session = session
        node.sessions.append(session)
        session.receive_due()
        page.reconnect(Link(self, session.deliver, page.delay))
        return session

    def open_yjs(self, node: Node) -> None:
        page = YjsPage(self)
        down = Link(self, lambda _, update: page.receive(bytes.fromhex(update)), self.setting.delay)
        up = Link(
            self,
            lambda _, update: node.apply_update(bytes.fromhex(update), page),
            self.setting.delay,
        )
        page.send = lambda update: up.send("update", update.hex())
        page.receive(node.replica.state())
        node.yjs.append((page, down))
        self.yjs.append(page)
        time = 0.0
        for _ in range(self.setting.edits):
            time += self.random.random() * self.setting.pause
            self.at(time, page.edit)

    def append(self, by: Node, update: bytes) -> None:
        self.journal.append(update)
        for node in self.nodes:
            node.delivered_at = max(
                node.delivered_at, self.now + self.random.random() * self.setting.delay
            )
            self.at(node.delivered_at, lambda node=node: node.receive(update, by))  # type: ignore[misc]

    # Reconnections

    def disconnect(self, page: Page) -> None:
        """Break a page's connection; the page reconnects, to the same node or to another."""
        if page.up is None:
            return
        page.session.down.broken = True
        page.disconnect()
        away = self.random.random() * self.setting.delay * 4
        self.after(away, lambda: self.reconnect(page, self.random.choice(self.nodes)))

    def drain(self, page: Page) -> None:
        """Let a draining node close a page's connection, after it has got all that was sent."""
        up = page.up
        if up is None:
            return
        page.up = None
        page.session.down.broken = True

        def gone() -> None:
            if up.under_way:
                self.after(self.setting.delay / 5, gone)
            else:
                self.reconnect(page, self.random.choice(self.nodes))

        gone()

    def reconnect(self, page: Page, node: Node) -> None:
        """Let a page reconnect as the same member, as soon as the nodes can hand its views over."""
        old, here = page.session, page.session.node
        if node is not here and (here.pending or node.pending or node.applied < here.applied):
            self.after(self.setting.delay / 5, lambda: self.reconnect(page, node))
            return
        here.sessions.remove(old)
        session = self.connect(page, node)
        if node is here:
            session.peer = old.peer
            session.peer.reconnected(session)
        else:
            onward = Delta()
            past = Replica()
            for number, update in enumerate(self.journal[: node.applied]):
                delta = past.apply_update(update).delta
                if number >= here.applied:
                    onward = compose(onward, delta)
            known, typing = old.peer.is_known(), old.peer.is_typing()
            views = Views.restored(old.peer.views(), onward, self.habit, known=known)
            session.peer = TextPeer.restored(views, session, self.clock, typing=typing)
        self.returns += 1
        session.ping(session.peer.handle_pong)

    def run(self) -> None:
        """Run all events, and assert that all nodes and pages end with the same text."""
        limit = 800 * (self.setting.edits + 5) * (self.setting.clients + self.setting.yjs) ** 2
        for _ in range(limit):
            if not self.events:
                break
            self.now, _, action = heapq.heappop(self.events)
            action()
        assert not self.events, "the world does not come to rest"
        text = self.nodes[0].replica.text
        for node in self.nodes:
            node.replica.check()
            assert node.replica.text == text
        texts = [page.text for page in self.pages] + [page.text for page in self.yjs]
        assert all(shown == text for shown in texts)

    def lost(self) -> set[str]:
        """Return the characters that were sent, that nobody deleted, and that are missing."""
        return self.typed - self.deleted - self.unavoidable - set(self.nodes[0].replica.text)

    def risen(self) -> set[str]:
        """Return the characters that are there although somebody deleted them, or there twice."""
        text = self.nodes[0].replica.text
        twice = {character for character in text if text.count(character) > 1}
        return (self.deleted & set(text)) - self.unavoidable | twice
