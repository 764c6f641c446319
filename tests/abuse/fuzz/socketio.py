"""Fuzzing of the Socket.IO endpoint: its packets over both transports, and its events."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from random import Random

from tests.abuse.account import Refused
from tests.abuse.fuzz.crew import share
from tests.abuse.fuzz.mutation import json_value, mutated
from tests.abuse.offender import Offender
from tests.abuse.websocket import BINARY, TEXT, frame

INPUTS_OF_ONE = 40
"""Inputs of one connection."""
PACKETS = [
    b"2", b"3", b"2probe", b"3probe", b"5", b"6", b"40", b'40{"name":"Ada","pid":"xyz"}', b"41",
    b"40/other,", b'42["join",{"room":"fuzz"}]', b'421["change",{"room":"fuzz","code":"print(1)"}]',
    b'4217["leave",{"room":"fuzz"}]', b'43[{"ok":true}]', b'44{"message":"no"}',
    b'451-["change",{"_placeholder":true,"num":0}]', b"bAAEC", b"1",
]  # fmt: skip
"""What clients send, and what they should not."""
EVENTS = "join", "change", "leave", "connect", "disconnect", "error", "receive", "presence"


async def fuzzed_packets(offender: Offender, inputs: int) -> AsyncIterator[None]:
    """Mutated Engine.IO packets over WebSockets."""

    async def visit(rng: Random, left: int) -> int:
        member = await offender.text_member(connect=rng.random() < 0.8)
        for number in range(min(left, INPUTS_OF_ONE)):
            packet = mutated(rng, rng.choice(PACKETS), PACKETS)
            opcode = TEXT if rng.random() < 0.9 else rng.choice((BINARY, rng.randrange(16)))
            if not await member.send_raw(frame(packet, opcode, final=rng.random() < 0.95)):
                return number + 1
        await offender.leave(member.ws, politely=rng.random() < 0.5)
        return number + 1

    yield
    await share(offender, inputs, visit)


async def fuzzed_posts(offender: Offender, inputs: int) -> AsyncIterator[None]:
    """Mutated Engine.IO payloads in polling requests."""

    async def visit(rng: Random, left: int) -> int:
        session = await offender.handshake()
        sent = 0
        with contextlib.suppress(Refused):  # a payload with a CLOSE has ended the session
            while sent < min(left, INPUTS_OF_ONE):
                packets = rng.choices(PACKETS, k=rng.randint(1, 4))
                payload = mutated(rng, b"\x1e".join(packets), PACKETS)
                sent += 1
                await offender.request("POST", session, body=payload or b"\x1e")
            await offender.request("POST", session, body=b"1")
        return sent

    yield
    await share(offender, inputs, visit)


async def fuzzed_events(offender: Offender, inputs: int) -> AsyncIterator[None]:
    """Events whose names, acknowledgements and payloads are random."""

    async def visit(rng: Random, left: int) -> int:
        member = await offender.text_member()
        for number in range(min(left, INPUTS_OF_ONE)):
            if not await member.send(_event(rng)):
                return number + 1
        await offender.leave(member.ws, politely=rng.random() < 0.5)
        return number + 1

    yield
    await share(offender, inputs, visit)


def _event(rng: Random) -> str:
    payload = json_value(rng)
    if rng.random() < 0.7:
        room = f"fuzz-{rng.randrange(20)}" if rng.random() < 0.8 else json_value(rng)
        payload = {"room": room, "code": json_value(rng, 0), **({"x": payload} if payload else {})}
    name = rng.choice(EVENTS[:3]) if rng.random() < 0.8 else rng.choice((*EVENTS, json_value(rng)))
    arguments = [name, payload, *(json_value(rng) for _ in range(rng.randrange(3) // 2))]
    id = rng.choice(("", "0", "7", "99999999999999999999", "-1"))
    namespace = rng.choice(("", "", "", "", "/,", "/other,", "/\0,"))
    return f"42{namespace}{id}" + json.dumps(arguments)
