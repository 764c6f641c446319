"""Fuzzing of the Yjs endpoint: frames, and the updates and states in them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

from pycrdt import Array, Doc, Map, Text

from collab.yjs import protocol
from tests.abuse.fuzz.crew import share
from tests.abuse.fuzz.mutation import json_value, mutated
from tests.abuse.offender import Offender
from tests.support.forge import varstring, varuint

INPUTS_OF_ONE = 20
"""Inputs of one connection, if the node does not end it earlier, as it mostly does."""
EDITS = 40
"""Edits in the document whose updates are mutated."""
ROOMS = 50


async def fuzzed_frames(offender: Offender, inputs: int) -> AsyncIterator[None]:
    """Mutated frames, and frames with mutated updates, state vectors and states."""
    contents = _contents(offender.rng)
    frames = [_framed(offender.rng, content) for content in contents]

    async def visit(rng: Random, left: int) -> int:
        member = await offender.yjs_member(f"fuzz-{rng.randrange(ROOMS)}")
        for number in range(min(left, INPUTS_OF_ONE)):
            chance = rng.random()
            if chance < 0.6:
                sent = _framed(rng, mutated(rng, rng.choice(contents), contents))
            elif chance < 0.8:
                sent = _states(rng)
            else:
                sent = mutated(rng, rng.choice(frames), frames)
            if not (await member.send(sent) and member.open):
                return number + 1
        await offender.leave(member.ws, politely=rng.random() < 0.5)
        return number + 1

    yield
    await share(offender, inputs, visit)


def _contents(rng: Random) -> list[bytes]:
    """Return real updates and state vectors, of a document that is edited in every way."""
    doc: Doc[Any] = Doc()
    code = doc.get("code", type=Text)
    settings, values = doc.get("settings", type=Map), doc.get("values", type=Array)
    contents = []
    for number in range(EDITS):
        before = doc.get_state()
        with doc.transaction():
            code.insert(rng.choice((0, len(str(code).encode()))), "ab🐍é")
            settings[str(number % 5)] = rng.choice((number, None, "x", [1, {"deep": True}]))
            values.append(Map({"k": Array([number])}))
            if number % 3 == 2:
                del code[0:2]
                code.format(0, 1, {"bold": True})
        contents += [doc.get_update(before), doc.get_state()]
    return [*contents, doc.get_update()]


def _framed(rng: Random, content: bytes) -> bytes:
    make = (protocol.step1_message, protocol.step2_message, protocol.update_message)
    return rng.choices(make, (1, 3, 6))[0](content)


def _states(rng: Random) -> bytes:
    states = []
    for _ in range(rng.randrange(4)):
        state = {"user": {"name": json_value(rng, 1)}, "cursor": json_value(rng)}
        told = json.dumps(state if rng.random() < 0.7 else json_value(rng))
        if rng.random() < 0.2:
            told = mutated(rng, told.encode(), [b"{}"]).decode(errors="replace")
        states.append(varuint(rng.randrange(5)) + varuint(rng.randrange(9)) + varstring(told))
    return protocol.awareness_message(varuint(len(states)) + b"".join(states))
