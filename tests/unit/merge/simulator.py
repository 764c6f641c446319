"""A small world to try the merge core in: naive clients, slow links, nodes and one journal.

Clients know nothing of merging: each has a text, sends all of it after an edit, shows whatever it
receives and answers PING with PONG. Everything random comes from one seed, so a run can be had
again. The world keeps its own books of which characters were typed and deleted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.merge.trail import View
from collab.merge.views import Stamp, Views

PING, RECEIVE, PONG, CHANGE = "ping", "receive", "pong", "change"
BMP_LETTERS = [*range(0x4E00, 0xA000), *range(0xAC00, 0xD7A4)]
FIRST_PRIVATE = 0xF0000


@dataclass(frozen=True)
class Setting:
    """What kind of world: sizes, delays in seconds, and how people behave."""

    nodes: int = 1
    clients: int = 3
    typists: int | None = None
    edits: int = 40
    delay: float = 0.2
    pause: float = 0.1
    unique: bool = True
    echoes: float = 0.0
    alphabet: str = "ab \n"
    start: str = ""
    heartbeat: float = 1.0
    resets: bool = False
    torn: float = 0.02


class Link:
    """Delivers in order, each packet after its own delay."""

    def __init__(self, world: World, deliver: Callable[[str, str], None], delay: float) -> None:
        self.world, self.deliver, self.delay = world, deliver, delay
        self.last = self.wrote = -1.0

    def send(self, kind: str, text: str = "") -> None:
        world = self.world
        # What is written together mostly arrives together.
        if world.now != self.wrote or world.random.random() < world.setting.torn:
            self.last = max(self.last, world.now + world.random.random() * self.delay)
        self.wrote = world.now
        world.at(self.last, lambda: self.deliver(kind, text))


class Client:
    """A whole-text editor with a person in front of it."""

    def __init__(self, world: World, echoes: bool) -> None:
        self.world, self.echoes = world, echoes
        self.text = ""
        self.history: list[str] = []
        self.received = self.sent = 0
        self.up: Link

    def deliver(self, kind: str, text: str) -> None:
        if kind == PING:
            self.up.send(PONG)
            return
        self.received += 1
        self.text = text
        if self.echoes:
            self.up.send(CHANGE, text)

    def edit(self) -> None:
        self.enter(self.world.person(self))

    def enter(self, text: str) -> None:
        if text == self.text:
            return
        if self.world.setting.unique:
            before, after = set(self.text), set(text)
            self.world.typed |= after - before
            self.world.deleted |= before - after
        self.history.append(self.text)
        self.text = text
        self.sent += 1
        self.up.send(CHANGE, text)


@dataclass
class Session:
    """A member at its node: its views, and the changes that arrived and wait for their turn."""

    node: Node
    views: Views
    down: Link
    waiting: deque[tuple[Stamp, str]] = field(default_factory=deque)
    flushing: bool = False

    def deliver(self, kind: str, text: str) -> None:
        if kind == PONG:
            self.views.pong()
            self.write_soon()
        else:
            self.waiting.append((self.views.stamp(), text))
            world = self.node.world
            world.after(world.setting.delay / 4, self.handle)
        self.node.check()

    def handle(self) -> None:
        stamp, text = self.waiting.popleft()
        world = self.node.world
        outcome = self.views.change(stamp, text, world.now)
        world.changes += 1
        world.guesses += outcome.guessed
        if not outcome.delta.is_identity:
            update = self.node.replica.edit(outcome.delta)
            self.node.commit(update)
            self.node.changed(outcome.delta, besides=self)
        assert outcome.needs_receive == (self.views.final_text != self.node.replica.text)
        self.write_soon()
        self.node.check()

    def heartbeat(self) -> None:
        self.views.ping()
        self.down.send(PING)

    def write_soon(self) -> None:
        if not self.flushing:
            self.flushing = True
            self.node.world.after(self.node.world.setting.delay / 10, self.write)

    def write(self) -> None:
        self.flushing = False
        text = self.node.replica.text
        if self.views.final_text == text or not self.views.may_receive(self.node.world.now):
            return
        self.views.written(text)
        self.down.send(PING)
        self.down.send(RECEIVE, text)
        self.down.send(PING)
        self.node.check()


class Node:
    """A replica and its members; what it hears from the journal comes in order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.replica = Replica()
        self.sessions: list[Session] = []
        self.heard = self.said = 0.0

    def changed(self, delta: Delta, besides: Session | None = None) -> None:
        for session in self.sessions:
            if session is not besides:
                session.views.advance(delta)
                session.write_soon()

    def commit(self, update: bytes) -> None:
        world = self.world
        self.said = max(self.said, world.now + world.random.random() * world.setting.delay)
        world.at(self.said, lambda: world.append(update))

    def hear(self, update: bytes) -> None:
        delta = self.replica.apply_update(update)
        if not delta.is_identity:
            self.changed(delta)
        self.check()

    def check(self) -> None:
        for session in self.sessions:
            session.views.check(self.replica.text)


class World:
    """Everybody, the clock, and the journal."""

    def __init__(self, seed: int, setting: Setting) -> None:
        self.random, self.setting = Random(seed), setting
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.typed: set[str] = set(setting.start)
        self.deleted: set[str] = set()
        self.letters = self.changes = self.guesses = 0
        self.nodes = [Node(self) for _ in range(setting.nodes)]
        first = Replica()
        start = first.edit(Delta.of(setting.start))
        for node in self.nodes:
            node.replica.apply_update(start)
        self.clients: list[Client] = []
        for index in range(setting.clients):
            self.join(self.nodes[index % setting.nodes])

    def at(self, time: float, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, action))

    def after(self, most: float, action: Callable[[], None]) -> None:
        """Do ``action`` within ``most`` seconds; actions of one length keep their order."""
        self.at(self.now + most, action)

    def join(self, node: Node) -> None:
        setting, random = self.setting, self.random
        client = Client(self, random.random() < setting.echoes)
        speed = setting.delay * random.choice((0.05, 0.5, 1.0, 3.0))
        down = Link(self, client.deliver, speed)
        session = Session(node, Views(View("", Delta.of(node.replica.text))), down)
        client.up = Link(self, session.deliver, speed)
        node.sessions.append(session)
        self.clients.append(client)
        session.write_soon()
        typists = setting.clients if setting.typists is None else setting.typists
        time = 0.0 if setting.typists is None else setting.delay * 8
        for _ in range(setting.edits if len(self.clients) <= typists else 0):
            # Mostly fast typing, now and then a long look.
            time += random.random() * setting.pause * (30 if random.random() < 0.05 else 1)
            self.at(time, client.edit)
        beats = int(time / setting.heartbeat) + 1
        for beat in range(beats):
            self.at((beat + random.random()) * setting.heartbeat, session.heartbeat)

    def append(self, update: bytes) -> None:
        for node in self.nodes:
            node.heard = max(node.heard, self.now + self.random.random() * self.setting.delay)
            self.at(node.heard, lambda node=node: node.hear(update))  # type: ignore[misc]

    def letter(self) -> str:
        """Return a character nobody has typed yet, or one of the few everybody types."""
        if not self.setting.unique:
            return self.random.choice(self.setting.alphabet)
        number = self.letters
        self.letters += 1
        if number % 3 and number < len(BMP_LETTERS):
            return chr(BMP_LETTERS[number])
        return chr(FIRST_PRIVATE + number)

    def word(self, most: int) -> str:
        return "".join(self.letter() for _ in range(self.random.randint(1, most)))

    def person(self, client: Client) -> str:
        """Return what the person in front of ``client`` makes of the text on its screen."""
        text, random = client.text, self.random
        spot = random.randint(0, len(text))
        other = random.randint(0, len(text))
        left, right = min(spot, other), max(spot, other)
        choice = random.random()
        if choice < 0.5:
            return text[:spot] + self.letter() + text[spot:]
        if choice < 0.65:
            return text[:spot] + text[spot + random.randint(1, 3) :]
        if choice < 0.75:
            return text[:spot] + self.word(3) + text[spot + random.randint(1, 4) :]
        if choice < 0.85:
            return text[:left] + self.letter() + text[left:right] + self.letter() + text[right:]
        if choice < 0.9:
            return text[:spot] + self.word(12) + text[spot:]
        if choice < 0.95:
            step = max(2, len(text) // random.randint(2, 20))
            return "".join(
                self.letter() * (at % step == 0) + character for at, character in enumerate(text)
            )
        if self.setting.unique or not client.history:
            return self.word(4) if self.setting.resets else text[:left] + text[right:]
        return random.choice(client.history) if random.random() < 0.7 else self.word(4)

    def run(self) -> None:
        """Let everything happen, and see that everybody ends with the same text."""
        limit = 400 * (self.setting.edits + 5) * self.setting.clients**2
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
        for client in self.clients:
            assert client.text == text

    def lost(self) -> set[str]:
        """Return the characters that nobody deleted and that are gone."""
        return self.typed - self.deleted - set(self.nodes[0].replica.text)

    def risen(self) -> set[str]:
        """Return the characters that somebody deleted and that are there, or there twice."""
        text = self.nodes[0].replica.text
        twice = {character for character in text if text.count(character) > 1}
        return (self.deleted & set(text)) | twice
