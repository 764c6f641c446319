"""Who is in a room, asked from outside: by a node that may not hold it.

The question goes out on the room's channel, so that it reaches those that hold the room and nobody
else; Redis says how many that are. Each answers on the asking node's own channel, so that nobody
else is troubled by it. A room that nobody holds costs one PUBLISH.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from collab.rooms.presence import Person
from collab.store.keys import ANSWERS_CHANNEL, room_channel
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

QUESTION = b"Q "
"""How the question begins on a room's channel; the asking node's channel and a word follow."""
PATIENCE = 0.5
"""Seconds for the nodes to answer: many times what it takes, and a dead node's members are gone."""


@dataclass(slots=True)
class _Asked:
    people: dict[str, Person] = field(default_factory=dict)
    answers: int = 0
    expected: int | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        if self.expected is not None and self.answers >= self.expected:
            self.done.set()


class Census:
    """Asks all nodes who is in a room."""

    def __init__(self, node: str, store: Store, subscriber: Subscriber) -> None:
        self._channel = ANSWERS_CHANNEL + node
        self._store = store
        self._subscriber = subscriber
        self._asked: dict[str, _Asked] = {}

    async def open(self) -> None:
        """Listen for answers. Raises StoreUnavailable."""
        await self._subscriber.listen(self._channel, self._hear)

    async def close(self) -> None:
        """Stop listening."""
        await self._subscriber.forget(self._channel, self._hear)

    async def ask(self, room: str) -> list[Person]:
        """Return a room's members on all nodes that answer in time. Raises StoreUnavailable."""
        word = secrets.token_hex(8)
        asked = self._asked[word] = _Asked()
        question = QUESTION + f"{self._channel} {word}".encode()
        try:
            async with asyncio.timeout(PATIENCE):
                asked.expected = await self._store.publish(room_channel(room), question)
                asked.look()
                await asked.done.wait()
        except TimeoutError:
            pass  # a node that does not answer is dead, or answers the next question
        finally:
            del self._asked[word]
        return sorted(asked.people.values(), key=lambda person: (person.name, person.id))

    def _hear(self, message: bytes) -> None:
        word, _, people = message.partition(b"\n")
        asked = self._asked.get(word.decode("ascii", "replace"))
        if asked is None:
            return  # too late
        try:
            told: Any = orjson.loads(people)
            asked.people.update((member[0], Person(*member)) for member in told)
        except (TypeError, ValueError):
            log.warning("unknown words on this node's channel")
        asked.answers += 1
        asked.look()


def answer(question: bytes, people: Iterable[Person]) -> tuple[str, bytes]:
    """Return what to tell of the members of this node, and on which channel.

    Raises ValueError if it is no question.
    """
    _, channel, word = question.split(b" ")
    told = [[person.id, person.name, person.node, person.color] for person in people]
    return channel.decode(), word + b"\n" + orjson.dumps(told)
