"""The members of a room, as queried by a node that need not hold the room.

The node publishes a question on the room's channel, which only nodes that hold the room receive.
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
"""Seconds to wait for answers: a live node needs far less, and a dead node has no members."""


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
    """Return the channel and the message that answer ``question`` with this node's members."""
    members = [[person.id, person.name, person.node, person.color] for person in people]
    return question.reply_to.pack_answer(orjson.dumps(members))
