"""What a node must hold for clients that do not finish, do not read or do not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from collab.yjs import protocol
from tests.abuse.members import TextMember
from tests.abuse.offender import Offender
from tests.abuse.websocket import TEXT, frame

UNFINISHED = 15 << 20
"""Bytes of a message whose end never comes."""
LARGE_TEXT = 250_000
"""Characters of a large room's text."""
REQUESTS = 40
"""Times that a client requests the whole document and does not read it: 10 MB."""
RECEIVES = 32
"""Texts on their way to one member, at most."""
EMPTY_STATE_VECTOR = b"\0"


async def unfinished_messages(offender: Offender, connections: int) -> AsyncIterator[None]:
    """Messages of 15 MB whose last frame never comes."""
    members = await offender.several(connections, lambda _: offender.text_member())
    part = frame(bytes(UNFINISHED), TEXT, final=False)
    yield
    await asyncio.gather(*(member.send_raw(part) for member in members))


async def unread_answers(offender: Offender, connections: int) -> AsyncIterator[None]:
    """Requests for a document of 250 kB whose answers are not read."""
    await _large_room(offender, "unread")
    members = await offender.several(
        connections, lambda _: offender.yjs_member("unread", reads=False)
    )
    request = protocol.step1_message(EMPTY_STATE_VECTOR)
    yield
    await asyncio.gather(*(member.send(*[request] * REQUESTS) for member in members))


async def queued_posts(offender: Offender, posts: int) -> AsyncIterator[None]:
    """Polling requests of 2 MB that are sent while an earlier one is still being handled."""
    session = await offender.handshake()
    await offender.request("POST", session, body=b"40")
    changes = [_change(str(number)) for number in range(min(1000, 3 * posts))]
    large = _change("x" * 2_000_000).encode()
    yield
    first = asyncio.create_task(
        offender.request("POST", session, body="\x1e".join(changes).encode())
    )
    await asyncio.sleep(0.1)
    await offender.several(posts, lambda _: offender.request("POST", session, body=large))
    await first


def _change(code: str) -> str:
    return "42" + json.dumps(["change", {"room": "queued", "code": code}])


async def silent_members(offender: Offender, connections: int) -> AsyncIterator[None]:
    """Members of a large room that type, and then answer no PING."""
    typist = await _large_room(offender, "silent")
    members = await offender.several(connections, lambda _: offender.text_member())
    for number, member in enumerate(members):
        # Only who sends events before earlier ones are acknowledged may have many texts on the way.
        await asyncio.gather(*(member.join("silent") for _ in range(2)))
        await member.emit("change", {"room": "silent", "code": f"{number}" + "x" * LARGE_TEXT})
    for number in range(4):  # and who has got some since it typed
        await typist.change("silent", f"{number}" + "y" * LARGE_TEXT)
    for member in members:
        member.pongs = False
    yield
    for number in range(RECEIVES):
        if not await typist.change("silent", f"{number}" + "z" * LARGE_TEXT):
            return


async def _large_room(offender: Offender, room: str) -> TextMember:
    """Fill a room; return the member that has done so."""
    typist = await offender.text_member()
    await typist.change(room, "x" * LARGE_TEXT)
    return typist
