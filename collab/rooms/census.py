"""Who is in a room, asked from outside: by a node that may not hold it.

The question is published on the room's channel, so that it reaches the nodes that hold the room,
and no other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import orjson

from collab.rooms.person import Person
from collab.store.channel import CensusQuestion
from collab.store.keys import room_channel
from collab.store.questions import Questions

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 0.5
"""Seconds for the nodes to answer: many times what it takes, and a dead node's members are gone."""


async def query(questions: Questions, room: str) -> list[Person]:
    """Return a room's members on all nodes that answer in time. Raises StoreUnavailable."""
    people: dict[str, Person] = {}
    answers = await questions.ask(
        room_channel(room), lambda to: CensusQuestion(to).pack(), timeout=ANSWER_TIMEOUT
    )
    for answer in answers:
        try:
            members: Any = orjson.loads(answer)
            people.update((member[0], Person(*member)) for member in members)
        except (TypeError, ValueError):
            log.warning("unknown words on this node's channel")
    return sorted(people.values(), key=lambda person: (person.name, person.id))


def reply(question: CensusQuestion, people: Iterable[Person]) -> tuple[str, bytes]:
    """Return what to tell of the members of this node, and on which channel."""
    members = [[person.id, person.name, person.node, person.color] for person in people]
    return question.reply_to.pack_answer(orjson.dumps(members))
