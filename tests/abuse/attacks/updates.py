"""Frames of Yjs members that are small on the wire and dear to read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from collab.yjs import protocol
from tests.abuse.offender import Offender
from tests.support.forge import deleted, state_vector, varuint

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


async def large_state_vector(offender: Offender, clients: int) -> AsyncIterator[None]:
    """One state vector of very many clients."""
    member = await offender.yjs_member("vector")
    sent = protocol.step1_message(state_vector(clients))
    yield
    await member.ask(sent)
