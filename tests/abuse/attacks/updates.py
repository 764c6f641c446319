"""Frames of Yjs members that are small on the wire and dear to read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from collab.yjs import protocol
from tests.abuse.offender import Offender
from tests.support.forge import (
    STRING,
    conflicting,
    deleted,
    state_vector,
    struct,
    update,
    varstring,
    varuint,
)

STATES = 10_000
"""States in one awareness frame, the most that the node reads."""


async def awareness_states(offender: Offender, frames: int) -> AsyncIterator[None]:
    """Awareness frames of 10,000 states each, all of one client."""
    state = json.dumps({"user": {"name": "x" * 150}}).encode()
    member = await offender.yjs_member("aware")
    batches = [range(first * STATES, (first + 1) * STATES) for first in range(frames)]
    sent = [protocol.awareness_message(_states(state, clocks)) for clocks in batches]
    yield
    await member.ask(*sent)


def _states(state: bytes, clocks: range) -> bytes:
    client, content = varuint(7), varuint(len(state)) + state
    each = (client + varuint(clock) + content for clock in clocks)
    return varuint(len(clocks)) + b"".join(each)


async def deleted_ranges(offender: Offender, ranges: int) -> AsyncIterator[None]:
    """One update with a delete set of very many ranges."""
    member = await offender.yjs_member("deleted")
    sent = protocol.update_message(deleted(7, *([(0, 1)] * ranges)))
    yield
    await member.ask(sent)


async def scattered_deletions(offender: Offender, ranges: int) -> AsyncIterator[None]:
    """Updates that each delete as many ranges of a text as one update may."""
    member = await offender.yjs_member("scattered")
    text = struct(STRING, varstring("x" * 2 * ranges))
    holes = deleted(7, *((2 * place, 1) for place in range(ranges)))
    await member.ask(protocol.update_message(update([(7, 0, [text])])))
    yield
    await member.ask(protocol.update_message(holes))
    await member.ask(protocol.update_message(deleted(7, (0, 2 * ranges))))


async def conflicting_letters(offender: Offender, letters: int) -> AsyncIterator[None]:
    """One update whose letters must each be compared with all others."""
    member = await offender.yjs_member("conflicting")
    sent = protocol.update_message(conflicting(7, letters))
    yield
    await member.ask(sent)


async def large_state_vector(offender: Offender, clients: int) -> AsyncIterator[None]:
    """One state vector of very many clients."""
    member = await offender.yjs_member("vector")
    sent = protocol.step1_message(state_vector(clients))
    yield
    await member.ask(sent)
