"""Who is in a room, asked from outside: by a node that may not hold it.

The question goes out on the room's channel, so that it reaches those that hold the room and nobody
else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import orjson

from collab.rooms.presence import Person
from collab.store.keys import room_channel
from collab.store.questions import Question, Questions

log = logging.getLogger(__name__)

QUESTION = b"Q "
"""How the question begins on a room's channel."""
PATIENCE = 0.5
"""Seconds for the nodes to answer: many times what it takes, and a dead node's members are gone."""


async def ask(questions: Questions, room: str) -> list[Person]:
    """Return a room's members on all nodes that answer in time. Raises StoreUnavailable."""
    people: dict[str, Person] = {}
    for answer in await questions.ask(room_channel(room), QUESTION, patience=PATIENCE):
        try:
            told: Any = orjson.loads(answer)
            people.update((member[0], Person(*member)) for member in told)
        except (TypeError, ValueError):
            log.warning("unknown words on this node's channel")
    return sorted(people.values(), key=lambda person: (person.name, person.id))


def answer(question: bytes, people: Iterable[Person]) -> tuple[str, bytes]:
    """Return what to tell of the members of this node, and on which channel.

    Raises ValueError if it is no question.
    """
    told = [[person.id, person.name, person.node, person.color] for person in people]
    return Question.parse(question, QUESTION).answer(orjson.dumps(told))
